# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does BackMix keep an echo-view classifier from reading the scanner's overlay? Trains, evaluates and reports.

    python benchmarks/echo_demo.py                                # what `make demo` runs
    python benchmarks/echo_demo.py --seeds 0,1,2 --methods baseline,backmix,wbackmix --out results/echo

Everything goes through the bundle `bundles/echo_view`, run as a user runs it. The cohort is semi-synthetic. A training
that was interrupted goes on, and one that has its results already is not run again: delete the folder to start anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import fire
import numpy as np
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from monai_debias.demo import echo_demo_cohort
from monai_debias.visualize import method_comparison

BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "echo_view"
NAMES = {
    "baseline": "baseline",
    "backmix": "BackMix",
    "wbackmix": "wBackMix, 5 % masks",
    "isnet": "ISNet",
    "isnet_lds": "ISNet, deep supervision",
    "isnet_few_masks": "ISNet, 5 % masks",
    "spectral_decoupling": "spectral decoupling",
    "mixup": "Mixup",
    "manifold_mixup": "Manifold Mixup",
    "flow_mixup": "Flow-Mixup",
    "combined": "BackMix, ISNet and spectral decoupling",
}
METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced acc.", "f1_macro": "macro F1", "roc_auc": "ROC AUC"}


def overlays(method: str) -> tuple[list[str], list[str]]:
    """The bundle's config files and arguments that train a method."""
    if method.startswith("background_"):
        return ["train.json", "background_ablation.json"], ["--background", method.removeprefix("background_")]
    if method.startswith("isnet_"):
        return ["train.json", "isnet.json", f"{method}.json"], []
    if method == "combined":
        return ["train.json", "backmix.json", "isnet.json", "combined.json"], []
    return (["train.json"] if method == "baseline" else ["train.json", f"{method}.json"]), []


def run_bundle(configs: list[str], *arguments: str) -> None:
    """``python -m monai.bundle run`` with the given config files of the bundle."""
    files = [str(BUNDLE / "configs" / name) for name in configs]
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--bundle_root", str(BUNDLE)]
    command += ["--config_file", str(files), "--logging_file", str(BUNDLE / "configs" / "logging.conf"), *arguments]
    subprocess.run(command, check=True)


def train_and_evaluate(method: str, seed: int, cohort: str, out: Path) -> dict:
    """One run of a method; returns its metrics by split, and the seconds that the training took."""
    folder = out / f"{method}_seed{seed}"
    metrics = folder / "metrics.json"
    if not metrics.exists():
        configs, arguments = overlays(method)
        places = ["--dataset_dir", cohort, "--ckpt_dir", str(folder), "--output_dir", str(folder), "--seed", str(seed)]
        start = time.monotonic()
        run_bundle(configs, *arguments, *places)
        print(f"{method}, seed {seed}: trained in {time.monotonic() - start:.0f} s", flush=True)
        run_bundle(["train.json", "evaluate.json"], *places)
    return json.loads(metrics.read_text())


def examples(cohort: str, n: int = 3) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Training images of the cohort before and after BackMix, by the bundle's own transforms."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / name) for name in ("train.json", "backmix.json")])
    parser["dataset_dir"] = cohort
    parser["show_progress"] = False
    parser["train_items"] = [item for item in parser.get_parsed_content("train_items") if item["bias_aligned"]][: 4 * n]
    parser["train#cached_dataset#num_workers"] = 1
    parser.parse(True)
    set_determinism(0)
    cached, mix = (
        parser.get_parsed_content("train#cached_dataset"),
        parser.get_parsed_content("background_transforms")[0],
    )
    shown = []
    for index in range(n):
        sample = cached[5 * index]  # another view of another patient each time
        shown.append(tuple(np.asarray(a[0]) for a in (sample["image"], sample["mask"], mix(sample)["image"])))
    return shown


def table(results: dict[str, list[dict]]) -> str:
    """Markdown: every metric by method and split; interval of one run, or mean and standard deviation of several."""
    splits = list(next(iter(results.values()))[0])
    lines = ["| method | split | " + " | ".join(METRICS.values()) + " |", "|" + "---|" * (2 + len(METRICS))]
    for method, runs in results.items():
        for split in splits:
            cells = []
            for metric in METRICS:
                values = 100 * np.array([run[split]["metrics"][metric] for run in runs])
                if len(runs) == 1:
                    cells.append("{:.1f} [{:.1f}, {:.1f}]".format(*values[0]))
                else:
                    cells.append(f"{values[:, 0].mean():.1f} ± {values[:, 0].std(ddof=1):.1f}")
            lines.append(f"| {NAMES.get(method, method)} | {split} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(results: dict[str, list[dict]], minutes: float) -> str:
    """What the table says, and how it was made."""
    first = next(iter(results.values()))
    one = first[0]["test_same"]
    spread = (
        "[95 % bootstrap interval over patients]"
        if len(first) == 1
        else f"mean ± standard deviation of {len(first)} seeds"
    )
    lines = [f"Percent, {spread}; {one['samples']} clips of {one['patients']} patients in each split.", ""]
    for method, runs in results.items():
        same, reverse = (
            np.mean([100 * run[split]["metrics"]["accuracy"][0] for run in runs])
            for split in ("test_same", "test_reversed")
        )
        lines.append(f"- {NAMES.get(method, method)}: {reverse - same:+.1f} points from same to reversed bias")
    lines += [
        "",
        "Semi-synthetic cohort of phantoms, not patients. "
        f"{minutes:.1f} minutes (runs that were there already not counted) by `{' '.join(['python', *sys.argv])}`.",
    ]
    return "\n".join(lines)


def main(
    out: str = "demo_output", seeds: str | int | tuple = 0, methods: str | tuple = ("baseline", "backmix")
) -> None:
    """Build the cohort, train and evaluate every method with every seed, and write table, figure and page.

    Args:
        out: folder for everything; finished runs in it are used again.
        seeds: one seed, or several separated by commas.
        methods: baseline, backmix, wbackmix, isnet, isnet_lds, isnet_few_masks, spectral_decoupling, mixup,
            manifold_mixup, flow_mixup, combined, background_black, background_noise, background_shuffle,
            background_dim.
    """
    start, folder = time.monotonic(), Path(out).resolve()
    seed_list = [int(s) for s in (seeds if isinstance(seeds, tuple) else str(seeds).split(","))]
    method_list = list(methods if isinstance(methods, tuple) else methods.split(","))
    folder.mkdir(parents=True, exist_ok=True)
    cohort = echo_demo_cohort(folder / "cohort")
    results: dict[str, list[dict]] = {method: [] for method in method_list}
    for seed in seed_list:
        for method in method_list:
            print(f"\n=== {NAMES.get(method, method)}, seed {seed} ===", flush=True)
            results[method].append(train_and_evaluate(method, seed, cohort, folder))
    figure = method_comparison({NAMES.get(m, m): runs for m, runs in results.items()}, examples(cohort), chance=0.25)
    figure.savefig(folder / "comparison.png", dpi=130)
    text = f"{table(results)}\n\n{summary(results, (time.monotonic() - start) / 60)}\n"
    title, picture = (
        "# Does the classifier read the scanner's overlay?",
        "![accuracy by split and method](comparison.png)",
    )
    page = f"{title}\n\n{picture}\n\n{text}"
    (folder / "report.md").write_text(page, encoding="utf-8")
    print(f"\n{text}\nfigure: {folder / 'comparison.png'}\npage:   {folder / 'report.md'}")


if __name__ == "__main__":
    fire.Fire(main)
