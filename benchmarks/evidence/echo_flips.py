# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does a decision that follows the background show in its heatmap? On the echo demo cohort, image by image.

    python -m benchmarks.evidence.echo_flips                         # the ISNet, three trainings, three minutes
    python -m benchmarks.evidence.echo_flips --methods plain,isnet,backmix

Trains methods of the testbed echo_demo on clips whose overlay always names their view. Then it sorts the
images into quarters by the share of the relevance in the background, and counts in each how many decisions another
background changes, on training and on validation images. No test data are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import fire
import torch

from benchmarks.csv_file import made_by, write
from benchmarks.evidence.processes import processes
from benchmarks.evidence.testbeds import echo_demo
from benchmarks.evidence.training import Judge
from benchmarks.evidence.tuning import SEED
from benchmarks.methods import METHODS, named
from benchmarks.tables import markdown, spread
from monai_debias.metrics import background_relevance
from monai_debias.relevance import LRP
from monai_debias.transforms import backmix

SECTIONS = ("training", "validation")
N_SWAPS = 3
WHAT = {"background_relevance": "background relevance, at most", "changed": "decisions that change"}


class Quarters(NamedTuple):
    """From the quarter of the images with the least relevance in the background to that with the most."""

    upper: list[float]
    """The greatest share of relevance in the background."""
    flips: list[float]
    """Share of decisions that another background changes."""


def quarters(judge: Judge, data: echo_demo.Section) -> Quarters:
    """Sort images by the relevance in the background of the class decided for, and exchange their backgrounds."""
    decided, shares = judge.decisions(data), []
    for batch, classes in zip(judge.batches(data), decided.split(judge.batch), strict=True):
        _, relevance = LRP(judge.network.eval())(judge.normalize(batch["image"]), target=classes)
        shares.append(background_relevance(relevance[:, 0], batch["mask"]))
    order = torch.randperm(len(decided), generator=torch.Generator().manual_seed(0))
    flips = torch.zeros(len(decided))
    image, mask = data.image.flatten(0, 1), data.mask.flatten(0, 1)  # samples as channels
    for swap in range(1, N_SWAPS + 1):
        donors = torch.empty_like(order)
        donors[order] = order.roll(swap)  # along a ring, so that nobody meets itself
        other = torch.as_tensor(backmix(image, mask, image[donors], mask[donors])).unsqueeze(1)
        flips += (judge.decisions(data._replace(image=other)) != decided) / N_SWAPS
    share = torch.cat(shares)
    parts = share.argsort().tensor_split(4)
    return Quarters([share[part].max().item() for part in parts], [flips[part].mean().item() for part in parts])


def one_run(method: str, seed: int, quick: bool) -> list[Quarters]:
    """In a process of its own: the quarters of each section, of the network after the last epoch."""
    torch.set_num_threads(1)
    budget = echo_demo.QUICK if quick else echo_demo.Budget()
    judge = echo_demo.train(echo_demo.METHODS[method], seed, 1.0, 1.0, budget).judge
    folder = echo_demo.cohort(1.0, budget)
    return [quarters(judge, echo_demo.load(folder, section, budget.image_size)) for section in SECTIONS]


def main(
    methods: str | tuple[str, ...] = "isnet",
    seeds: int = 3,
    workers: int = 2,
    record: str = "",
    quick: bool = False,
) -> None:
    """Train, and print a table.

    Args:
        methods: names of the testbed's methods, separated by commas.
        seeds: how many trainings of each.
        workers: how many at a time.
        record: CSV file of a line for each quarter; none if empty.
        quick: a smoke test on a few images, whose numbers mean nothing.
    """
    names, origin = named(methods, echo_demo.METHODS), made_by()
    jobs = [(name, SEED + seed, quick) for name in names for seed in range(seeds)]
    with processes(workers) as pool:
        found = list(pool.map(one_run, *zip(*jobs, strict=True)))
    rows = [{**origin, **row} for job, sections in zip(jobs, found, strict=True) for row in lines(*job[:2], sections)]
    if record:
        write(Path(record), rows)
    print(f"\nMean ± standard deviation in percent, quarters by the relevance in the background:\n\n{table(rows)}")


def lines(method: str, seed: int, sections: Sequence[Quarters]) -> list[dict[str, Any]]:
    """Of the CSV: one for each quarter of each section."""
    rows = []
    for section, found in zip(SECTIONS, sections, strict=True):
        for quarter, (upper, flips) in enumerate(zip(found.upper, found.flips, strict=True), 1):
            row = {"method": method, "seed": seed, "images": section, "quarter": quarter}
            rows.append({**row, "background_relevance": upper, "changed": flips})
    return rows


def table(rows: Sequence[Mapping[str, Any]], images: Sequence[str] = SECTIONS) -> str:
    """Markdown: in each quarter the greatest relevance in the background, and the share of changed decisions."""
    written = []
    for method, section in product(dict.fromkeys(row["method"] for row in rows), images):
        own = [row for row in rows if row["method"] == method and row["images"] == section]
        for column, what in WHAT.items():
            quarters = [[float(row[column]) for row in own if int(row["quarter"]) == n] for n in range(1, 5)]
            written.append([METHODS[method].title, section, what, *(spread(quarter, max) for quarter in quarters)])
    return markdown(["method", "images", "what, %", "first", "second", "third", "last"], written, texts=3)


if __name__ == "__main__":
    fire.Fire(main)
