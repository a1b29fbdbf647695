# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings that no paper gives for the biased MNIST, by in-distribution validation data alone.

    python benchmarks/evidence_tuning.py

Every candidate is trained once, with a seed that no run of the evidence has. No test split is loaded. Accuracy on the
validation data says nothing here, for their marks do not lie either; what is compared is accuracy times the consistency
under an exchange of backgrounds, which takes masks, but no image without the bias.
"""

from __future__ import annotations

import csv
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import fire
import torch
from evidence_judge import RULES
from evidence_methods import METHODS, Method
from evidence_mnist import QUICK, Budget, train

SEED = 100
CANDIDATES: dict[str, list[dict[str, float]]] = {
    "isnet": [{"background_scale": e, "relevance_weight": p} for e, p in product((0.1, 1.0), (0.5, 0.7))],
    "rrr": [{"rrr": weight} for weight in (0.1, 1.0, 10.0)],
    "spectral_decoupling": [{"penalty_weight": weight} for weight in (0.02, 0.2, 2.0)],
}


def candidate(name: str, options: dict[str, float]) -> Method:
    """A method with other settings than its own."""
    return replace(METHODS[name], **options)  # type: ignore[arg-type]


def one_run(name: str, options: dict[str, float], quick: bool) -> dict[str, float | str]:
    """In a process of its own: a line of the results."""
    torch.set_num_threads(1)
    trained = train(candidate(name, options), SEED, 1.0, 1.0, QUICK if quick else Budget())
    epoch = trained.take("consistency")
    measured = trained.validation.history[epoch]
    written = ", ".join(f"{option} {value:g}" for option, value in options.items())
    row = {"method": METHODS[name].title, "settings": written, "epoch": epoch + 1, **measured}
    return {**row, "score": RULES["consistency"](measured)}


def main(out: str = str(Path(__file__).resolve().parent / "results"), workers: int = 2, quick: bool = False) -> None:
    """Train every candidate and write the table.

    Args:
        out: folder of the table.
        workers: how many runs at a time.
        quick: a smoke test on a few images, whose numbers mean nothing.
    """
    jobs = [(name, options, quick) for name, grid in CANDIDATES.items() for options in grid]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(one_run, *zip(*jobs, strict=True)))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"tuning{'_quick' if quick else ''}.csv").open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(f"{row['method']}, {row['settings']}: {100 * float(row['score']):.1f}")


if __name__ == "__main__":
    fire.Fire(main)
