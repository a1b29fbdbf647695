# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How good do masks have to be? Methods on the chest demo cohort, with lung masks that are wrong by a known amount.

    python -m benchmarks.evidence.mask_quality --seeds 2
    python -m benchmarks.evidence.mask_quality --methods backmix --masks true,dice80 --seeds 5

All masks of the training data are wrong, also those of the films from which BackMix takes backgrounds, in ways that
differ from film to film and from seed to seed. Nothing else differs from the testbed chest_xray but the size of the
films. In 95 % of the training films the markers are those of the hospital of their class.

A run whose line is in benchmarks/results/mask_quality.csv already is not run again. Printed are the tables of
docs/lung_masks.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.csv_file import RESULTS, read
from benchmarks.evidence.processes import record
from benchmarks.evidence.testbed import Row, Rows
from benchmarks.evidence.testbeds import chest_xray
from benchmarks.evidence.testbeds.chest_xray import QUICK, SPLITS, Budget
from benchmarks.methods import METHODS, named
from benchmarks.parts import Parts, Step
from benchmarks.tables import markdown, spread
from benchmarks.wrong_masks import deformed, dice, dilated

Change = Callable[[NDArray[np.bool_], np.random.Generator], NDArray[np.bool_]]

BUDGET = Budget(patients=(400, 40, 60, 40), size=64)
STRENGTH = 0.95
REFERENCE = "plain"  # without masks
ASKED = ("backmix", "background_blend", "background_consistency", "isnet")
KEY = ("method", "of", "seed")
COLUMNS = (*SPLITS, "worst_group", "gap")


@dataclass(frozen=True)
class Quality:
    """Masks that are all wrong in the same way.

    Args:
        title: in tables.
        change: makes a wrong mask of a true one.
    """

    title: str
    change: Change


def _to_dice(target: float) -> Quality:
    return Quality(f"deformed to a Dice of {target:g}", lambda mask, rng: deformed(mask, target, rng))


def _by_share(share: float) -> Quality:
    return Quality(f"dilated by {100 * share:.0f} % of the film", lambda mask, rng: dilated(mask, share))


QUALITIES = {
    "true": Quality("as they are", lambda mask, rng: mask),
    **{f"dice{100 * target:.0f}": _to_dice(target) for target in (0.95, 0.9, 0.8, 0.6)},
    **{f"dilated{100 * share:.0f}": _by_share(share) for share in (0.02, 0.05, 0.1)},
}


def main(
    methods: str | tuple[str, ...] = ASKED,
    masks: str | tuple[str, ...] = tuple(QUALITIES),
    seeds: int = 2,
    out: str = str(RESULTS),
    workers: int = 2,
    quick: bool = False,
) -> None:
    """Run what is missing, and print the tables.

    Args:
        methods: names of methods, separated by commas; the plain network is always trained.
        masks: which masks, such as true, dice80 or dilated5.
        seeds: how many; 0 is the first.
        out: folder of the CSV.
        workers: how many runs at a time.
        quick: a smoke test on a few films, whose numbers mean nothing.
    """
    file = Path(out).resolve() / f"mask_quality{'_quick' * quick}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    asked = masks.split(",") if isinstance(masks, str) else masks
    pairs = [(REFERENCE, "none"), *((name, kind) for kind in asked for name in named(methods, METHODS))]
    done = {tuple(row[key] for key in KEY) for row in read(file)}
    jobs = [(*pair, seed, quick) for seed in range(seeds) for pair in pairs if (*pair, str(seed)) not in done]
    record(one_run, jobs, file, workers, KEY)
    print(tables(read(file)))


def one_run(method: str, kind: str, seed: int, quick: bool) -> Row:
    """Train and judge one method with masks of one kind; a line of the results."""
    torch.set_num_threads(1)
    budget, start = QUICK if quick else BUDGET, time.process_time()
    wrong = () if kind == "none" else (with_wrong_masks(QUALITIES[kind].change),)
    trained = chest_xray.train((*wrong, *METHODS[method].steps), seed, STRENGTH, STRENGTH, budget)
    epoch = trained.take("accuracy")
    folder = chest_xray.cohort(STRENGTH, budget)
    tests: dict[str, Any] = {split: chest_xray.load(folder, f"test_{split}") for split in SPLITS}
    found = trained.judge.robustness(tests)
    row = {"method": method, "of": kind, "seed": seed, **{column: found[column] for column in COLUMNS}}
    row |= {"epoch": epoch + 1, "mask_dice": mean_dice(kind, tests["same"].mask), "seconds": trained.seconds}
    return {**row, "run_seconds": time.process_time() - start}


def with_wrong_masks(change: Change) -> Step:
    """Change the masks of all samples; how depends on the seed of the training."""

    def step(parts: Parts) -> Parts:
        rng = np.random.default_rng([parts.seed, 1])
        samples = [{**sample, "mask": _changed(sample["mask"], change, rng)} for sample in parts.samples]
        return replace(parts, samples=samples)

    return step


def _changed(mask: torch.Tensor, change: Change, rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(change(mask[0].numpy() > 0, rng)[None].astype(np.uint8))


def mean_dice(kind: str, masks: torch.Tensor) -> float:
    """Of wrong masks with the true ones, (N, 1, rows, columns); 1 for a method without masks."""
    if kind not in QUALITIES:
        return 1.0
    rng, true = np.random.default_rng(0), masks[:, 0].numpy() > 0
    return float(np.mean([dice(QUALITIES[kind].change(mask, rng), mask) for mask in true]))


def tables(rows: Rows) -> str:
    """The table of each split."""
    return "\n\n".join(f"{title}:\n\n{table(rows, split)}" for split, title in SPLITS.items())


def table(rows: Rows, split: str) -> str:
    """Markdown: the accuracy on a split in percent, a line for each kind of masks, a column for each method."""
    asked = [name for name in ASKED if any(row["method"] == name for row in rows)]
    lines = []
    for kind, quality in QUALITIES.items():
        there = [row for row in rows if row["of"] == kind]
        if there:
            cells = [_cell([row for row in there if row["method"] == name], split) for name in asked]
            lines.append([quality.title, f"{float(there[0]['mask_dice']):.2f}", *cells])
    plain = _cell([row for row in rows if row["method"] == REFERENCE], split)
    lines.append(["the plain network, which takes none", "", *[plain] * len(asked)])
    return markdown(["masks", "Dice", *(METHODS[name].title for name in asked)], lines)


def _cell(rows: Rows, split: str) -> str:
    return spread((float(row[split]) for row in rows), min) if rows else ""


if __name__ == "__main__":
    fire.Fire(main)
