# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo weights of a bundle: its plain training, stored small, and what this changes.

    python -m benchmarks.demo_weights echo_view

Trains the bundle on its demo cohort, unless the folder has the training already; writes the weights, thresholds and
SHA-256 into the bundle, and a line for each test section to benchmarks/results/demo_weights.csv.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import fire
import torch
import yaml

from benchmarks.csv_file import RESULTS, ROOT, append, made_by
from monai_debias.handlers.checkpoint_files import read_checkpoint, read_record, write_checkpoint

NOTE = (
    "demo weights, plainly trained on the semi-synthetic demo cohort, whose shortcut they use on purpose: for trying "
    "inference and the audit, not for clinical use. A training of your own takes their place."
)
SCORES = {"softmax": "accuracy", "multi_label": "roc_auc"}  # what is told, by the task
LARGE = 200_000  # values of a tensor that is stored in 8 bits


def main(name: str, folder: str | None = None, max_epochs: int | None = None) -> None:
    """Train, store, compare.

    Args:
        name: of the bundle.
        folder: where the training, its cohort and the evaluations are kept; by default below benchmarks/cohorts.
        max_epochs: of the training; by default those of the bundle.
    """
    bundle = ROOT / "bundles" / name
    root = Path(folder or ROOT / "benchmarks" / "cohorts" / f"weights_{name}").resolve()
    trained, demo = root / "models" / "baseline" / "model.pt", bundle / "models" / "demo"
    epochs = [] if max_epochs is None else ["--max_epochs", str(max_epochs)]
    if not trained.exists():
        run(bundle, root, "train", *epochs)
    demo.mkdir(parents=True, exist_ok=True)
    record = {**(read_record(trained) or {}), "note": NOTE}
    write_checkpoint(small(read_checkpoint(trained)), demo / "model.pt", record)
    deflate(demo / "model.pt")
    write_hash(bundle, demo / "model.pt")
    before, after = (evaluate(bundle, root, path) for path in (trained, demo / "model.pt"))
    if (after / "thresholds.json").exists():
        shutil.copyfile(after / "thresholds.json", demo / "thresholds.json")
    bytes_ = {"bytes": (demo / "model.pt").stat().st_size}
    for line in compare(before, after, SCORES[record["task"]]):
        append(RESULTS / "demo_weights.csv", {**made_by(), "bundle": name, **line, **bytes_}, ("bundle", "section"))
        print(name, line, bytes_)


def small(state: dict[str, Any]) -> dict[str, Any]:
    """Half precision, and 8 bits for large tensors; ``load_state_dict`` makes float32 of both."""
    return {name: values.to(_dtype(values)) for name, values in state.items()}


def _dtype(values: torch.Tensor) -> torch.dtype:
    if not values.is_floating_point():
        return values.dtype
    return torch.float8_e4m3fn if values.numel() > LARGE else torch.float16


def deflate(file: Path) -> None:
    """Compress the members of the archive that a checkpoint is; torch reads it all the same."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # without a date


def write_hash(bundle: Path, file: Path) -> None:
    """The list that MONAI's ``download_large_files`` verifies; without an address, since the file is there."""
    entry = {"path": file.relative_to(bundle).as_posix(), "url": "", "hash_type": "sha256"}
    entry["hash_val"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (bundle / "large_files.yml").write_text(yaml.safe_dump({"large_files": [entry]}, sort_keys=False))


def run(bundle: Path, root: Path, *words: object) -> None:
    """A command of the bundle with these configs, before the first option, and its own data."""
    names = [word for word in words if word in ("train", "evaluate")]
    files = str([f"configs/{word}.json" for word in names])
    options = [*map(str, words[len(names) :]), "--bundle_root", str(root), "--show_progress", "False"]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", files, *options]
    subprocess.run(command, cwd=bundle, check=True)


def evaluate(bundle: Path, root: Path, checkpoint: Path) -> Path:
    """The folder with the evaluation of a checkpoint, which is not repeated if it is newer than the checkpoint."""
    out = root / "eval" / checkpoint.parent.name
    there = out / "metrics.json"
    if there.exists() and there.stat().st_mtime > checkpoint.stat().st_mtime:
        return out
    options = ("--checkpoint", checkpoint, "--output_dir", out, "--overwrite", "True", "--n_resamples", "50")
    run(bundle, root, "train", "evaluate", *options)
    return out


def compare(before: Path, after: Path, score: str) -> list[dict[str, Any]]:
    """A line for each test section: the score with the trained and with the stored weights, and equal decisions."""
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (before, after)]
    decisions = [read_decisions(folder / "predictions.csv") for folder in (before, after)]
    lines = []
    for section in metrics[0]:
        same = [decisions[1][key] == value for key, value in decisions[0].items() if key[0] == section]
        scores = [100 * other[section]["metrics"][score][0] for other in metrics]
        lines.append(
            {
                "section": section,
                "n": len(same),
                "score": score,
                "trained": round(scores[0], 2),
                "stored": round(scores[1], 2),
                "same_decisions": sum(same) / len(same),
            }
        )
    return lines


def read_decisions(file: Path) -> dict[tuple[str, str], str]:
    """What was decided, by section and file."""
    with file.open(newline="", encoding="utf-8") as lines:
        return {(row["split"], row["file"]): row["predicted"] for row in csv.DictReader(lines)}


if __name__ == "__main__":
    fire.Fire(main)
