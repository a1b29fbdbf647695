# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does BackMix keep an echo-view classifier from reading the scanner's overlay? Trains, evaluates and reports.

    python -m benchmarks.demo                                # what `make demo` runs
    python -m benchmarks.demo --seeds 0,1,2 --methods plain,backmix,wbackmix --workers 3
    python -m benchmarks.demo --seeds 0,1,2 --record benchmarks/results/echo_demo_table.csv   # the README's table

Everything goes through the bundle `bundles/echo_view`, run as a user runs it. The cohort is semi-synthetic. An
interrupted training resumes, and one that has its results already is not run again: delete the folder to start again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from monai.transforms import Compose, ScaleIntensityRanged

from benchmarks.csv_file import ROOT, made_by, write
from benchmarks.demo_heatmaps import draw_heatmaps
from benchmarks.methods import METHODS, named
from benchmarks.tables import markdown, rounded, spread
from monai_debias.apps.ultrasound import LoadUltrasoundd, SelectFramed, UltrasoundSectorMaskd
from monai_debias.data import load_datalist
from monai_debias.demo import echo_demo_cohort
from monai_debias.transforms import backmix
from monai_debias.visualize import method_comparison

BUNDLE = ROOT / "bundles" / "echo_view"
METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced acc.", "f1_macro": "macro F1", "roc_auc": "ROC AUC"}
# the sections of the test, by what the scanner's overlay says of the view
SPLITS = {
    "test_same": "overlay as in training",
    "test_random": "random overlay",
    "test_reversed": "reversed overlay",
}
MEANING = {
    "test_same": "names the right view in 95 %",
    "test_random": "names any view",
    "test_reversed": "always names a wrong view",
}
DONOR_OF = {"PLAX": "A4C", "A2C": "PSAX", "A4C": "PLAX"}  # views of the clips in the figure, and of their donors
IN_THE_BUNDLE = {name: method for name, method in METHODS.items() if method.overlays or name == "plain"}
SMALL: dict[str, Any] = {"patients": (8, 2, 2), "frames": 2, "progress": False}  # cohort of a smoke test
SHORT = ("--max_epochs", "1", "--image_size", "[32, 32]")
Runs = Mapping[str, Sequence[dict]]


def run_bundle(configs: Sequence[str], *arguments: str) -> None:
    """``python -m monai.bundle run`` with the given config files of the bundle."""
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in configs]
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--bundle_root", str(BUNDLE)]
    command += ["--config_file", str(files), "--logging_file", str(BUNDLE / "configs" / "logging.conf"), *arguments]
    subprocess.run(command, check=True)


def train_and_evaluate(name: str, seed: int, cohort: str, out: Path, options: Sequence[str] = ()) -> dict:
    """Train and evaluate a method once, with options of the bundle's command line; returns its metrics by split."""
    folder, method = out / f"{name}_seed{seed}", METHODS[name]
    metrics = folder / "metrics.json"
    if not metrics.exists():
        print(f"\n=== {method.title}, seed {seed} ===", flush=True)
        own = [text for option, value in method.options.items() for text in (f"--{option}", str(value))]
        places = ["--dataset_dir", cohort, "--ckpt_dir", str(folder), "--output_dir", str(folder), "--seed", str(seed)]
        places += (*options, "--select_by_swap", "False")  # all choose their epoch by accuracy, as the plain one
        start = time.monotonic()
        run_bundle(("train", *method.overlays), *own, *places)
        print(f"{method.title}, seed {seed}: trained in {time.monotonic() - start:.0f} s", flush=True)
        run_bundle(("train", "evaluate"), *places)
    return json.loads(metrics.read_text(encoding="utf-8"))


def pairs(cohort: str) -> list[tuple[dict, dict]]:
    """Training clips for the figure, each with the donor of its background, from the first six patients."""
    items = [item for item in load_datalist(cohort, "training") if item["bias_aligned"]]
    chosen: dict[str, dict] = {}  # by patient

    def first(view: str) -> dict:
        item = next(item for item in items if item["overlay"] == view and item["patient_id"] not in chosen)
        chosen[item["patient_id"]] = item
        return item

    return [(first(view), first(donor)) for view, donor in DONOR_OF.items()]


def examples(cohort: str) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The effect of BackMix on these clips: captions, with image, sector and new image of shape (H, W)."""
    load = Compose(
        [
            LoadUltrasoundd("image"),
            UltrasoundSectorMaskd("image", mask_key="mask"),
            SelectFramed("image"),
            ScaleIntensityRanged("image", 0, 255, 0, 1),
        ]
    )
    shown = {}
    for clip, donor in pairs(cohort):
        one, other = load(clip), load(donor)
        mixed = backmix(one["image"], one["mask"], other["image"], other["mask"])
        caption = f"{clip['overlay']} before and after BackMix; background from {donor['overlay']}"
        shown[caption] = tuple(np.asarray(image[0]) for image in (one["image"], one["mask"], mixed))
    return shown


def table(results: Runs) -> str:
    """Markdown: every metric by method and split; interval of one run, or mean, spread and worst of several."""
    lines = []
    for name, runs in results.items():
        for split in runs[0]:
            values = [np.array([run[split]["metrics"][metric] for run in runs]) for metric in METRICS]
            cells = [
                spread(found[:, 0], min) if len(found) > 1 else "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * found[0]))
                for found in values
            ]
            lines.append([METHODS[name].title, SPLITS.get(split, split), *cells])
    return markdown(["method", "test clips with", *METRICS.values()], lines, texts=2)


def rows_of(results: Runs, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Lines of a CSV: every metric of every split, of each run."""
    origin = made_by("cuda:0" if torch.cuda.is_available() else "cpu")
    rows = []
    for name, runs in results.items():
        for seed, run in zip(seeds, runs, strict=True):
            found = {f"{split}_{metric}": run[split]["metrics"][metric][0] for split in run for metric in METRICS}
            rows.append({**origin, "method": name, "seed": seed, **found})
    return rows


def table_of_seeds(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, from the lines of a CSV: accuracy by method and split: mean, standard deviation and worst seed."""
    lines = []
    for name in dict.fromkeys(row["method"] for row in rows):
        runs = [row for row in rows if row["method"] == name]
        cells = [spread([float(run[f"{split}_accuracy"]) for run in runs], min) for split in SPLITS]
        lines.append([METHODS[name].title, str(len(runs)), *cells])
    return markdown(["method", "n", *SPLITS.values()], lines)


def summary(results: Runs, minutes: float) -> str:
    """What the table shows, and how it was made."""
    first = next(iter(results.values()))
    one, n = first[0]["test_same"], len(first)
    how = (
        "[95 % bootstrap interval over patients]"
        if n == 1
        else f"mean ± standard deviation of {n} seeds (the worst of them)"
    )
    lines = [f"Percent, {how}; {one['samples']} clips of {one['patients']} patients in each split.", ""]
    for name, runs in results.items():
        same, reverse = (
            np.mean([100 * run[split]["metrics"]["accuracy"][0] for run in runs])
            for split in ("test_same", "test_reversed")
        )
        lines.append(f"- {METHODS[name].title}: {rounded(reverse - same):+.1f} points with the overlay reversed")
    lines += [
        "",
        "Semi-synthetic cohort of phantoms, not patients. "
        f"{minutes:.1f} minutes (runs that were there already not counted) by "
        f"`{' '.join(['python -m benchmarks.demo', *sys.argv[1:]])}`.",
    ]
    return "\n".join(lines)


def draw(results: Runs, cohort: str, file: Path) -> None:
    """Draw the accuracy by method and split, next to the effect of BackMix on images."""
    splits = {split: f"{title}\n{MEANING[split]}" for split, title in SPLITS.items()}
    titled = {METHODS[name].title: runs for name, runs in results.items()}
    method_comparison(titled, examples(cohort), splits, chance=0.25).savefig(file, dpi=130)


def page(cohort: str, text: str) -> str:
    """The figure, what it shows, and the table."""
    files = [[Path(item["image"]).relative_to(cohort).as_posix() for item in pair] for pair in pairs(cohort)]
    shown = "\n".join(f"- `{clip}`, and its heart with the background of `{donor}`" for clip, donor in files)
    tests = "\n".join(f"- **{title}** (`{split}`): {MEANING[split]}" for split, title in SPLITS.items())
    return f"""# Does the classifier read the scanner's overlay?

![accuracy by split and method](comparison.png)

The same test clips are shown with three overlays on the scanner's screen:

{tests}

On the right, training images before and after BackMix; the outlined sector stays:

{shown}

## Where the networks look

![heatmaps of the networks on the same clips](heatmaps.png)

The clips of the first test patient, with overlays that name wrong views. Above each column is what its network decides,
from top to bottom. Red speaks for the decision and blue against it; below a heatmap is the share of its relevance
outside the sector. A heatmap shows where to look closer; it proves nothing (docs/heatmaps.md).

## Results

{text}"""


def what_next(model: Path) -> str:
    """Three things to do after the demo, with the commands as they can be typed."""
    command = Path(sys.executable).with_name("monai-debias")
    return f"""
next:
1. ask a network itself, which is what you can do with one of your own:
   {command} audit {BUNDLE} {model.parents[1] / "cohort"} --checkpoint {model} --out {model.parents[1] / "audit"}
2. see what is confounded in your own data, a folder with a folder for each class:
   {command} datalist folder DIR, then {command} check DIR
3. put BackMix into your own training: "Six lines" in README.md, or tutorials/into_your_training.ipynb"""


def main(
    out: str = "demo_output",
    seeds: str | int | tuple = 0,
    methods: str | tuple = ("plain", "backmix"),
    workers: int = 1,
    record: str = "",
    quick: bool = False,
) -> None:
    """Build the cohort, train and evaluate every method with every seed, and write table, figure and page.

    Args:
        out: folder for everything; finished runs in it are used again.
        seeds: one seed, or several separated by commas.
        methods: plain, backmix, wbackmix, isnet, isnet_lds, isnet_few_masks, spectral_decoupling, mixup,
            manifold_mixup, flow_mixup, backmix_isnet, backmix_spectral_decoupling, backmix_isnet_spectral_decoupling,
            background_black, background_noise, background_shuffle, background_dim.
        workers: how many trainings at a time.
        record: CSV file of a line for each run; none if empty.
        quick: a smoke test on a few clips, whose numbers mean nothing.
    """
    start, folder = time.monotonic(), Path(out).resolve()
    seed_list = [int(s) for s in (seeds if isinstance(seeds, tuple) else str(seeds).split(","))]
    names = named(methods, IN_THE_BUNDLE)
    folder.mkdir(parents=True, exist_ok=True)
    cohort = echo_demo_cohort(folder / "cohort", **(SMALL if quick else {}))
    jobs = [(name, seed, cohort, folder, SHORT if quick else ()) for seed in seed_list for name in names]
    with ThreadPoolExecutor(workers) as pool:  # of which each waits for the processes that it starts
        runs = list(pool.map(train_and_evaluate, *zip(*jobs, strict=True)))
    results = {name: runs[n :: len(names)] for n, name in enumerate(names)}
    if record:
        write(Path(record), rows_of(results, seed_list))
    draw(results, cohort, folder / "comparison.png")
    text = f"{table(results)}\n\n{summary(results, (time.monotonic() - start) / 60)}\n"
    models = {METHODS[name].title: folder / f"{name}_seed{seed_list[0]}" / "model.pt" for name in names}
    draw_heatmaps(models, cohort, BUNDLE).savefig(folder / "heatmaps.png", dpi=90)
    (folder / "report.md").write_text(page(cohort, text), encoding="utf-8")
    print(f"\n{text}\nfigures: {folder / 'comparison.png'}, heatmaps.png\npage:    {folder / 'report.md'}")
    print(what_next(next(iter(models.values()))))


if __name__ == "__main__":
    fire.Fire(main)
