# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of the README: what a shortcut costs on each testbed, and how much of it each remedy gives back.

python -m benchmarks.evidence.overview
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

from benchmarks.csv_file import RESULTS, read
from benchmarks.evidence.testbed import Rows, Testbed, values
from benchmarks.evidence.testbeds import TESTBEDS
from benchmarks.tables import markdown, rounded

METHODS = (
    "plain",
    "unbiased",
    "backmix",
    "background_blend",
    "background_consistency",
    "isnet",
    "backmix_isnet",
    "wbackmix",
)


class Column(NamedTuple):
    """A column of the table: accuracy as in the training, and where the shortcut is another."""

    title: str
    testbed: str
    shifted: str
    """The split of the test."""


COLUMNS = (
    Column("digits beside a mark", "biased_mnist", "deceiving"),
    Column("echo clips", "echo_demo", "reversed"),
    Column("chest films", "chest_xray", "reversed"),
    Column("chest films of another hospital", "chest_xray", "external"),
    Column("ECGs (AUC)", "ecg_device", "reversed"),
)


def overview() -> str:
    """Markdown: mean as in the training → mean on the shifted split (the worst seed; how many seeds), in percent."""
    made = [(column, TESTBEDS[column.testbed], read(RESULTS / f"{column.testbed}.csv")) for column in COLUMNS]
    titles = {name: made[0][1].methods[name].title for name in METHODS}
    lines = [
        [titles[name], *(cell(testbed, rows, name, column.shifted) for column, testbed, rows in made)]
        for name in METHODS
    ]
    return markdown(["", *(column.title for column in COLUMNS)], lines)


def cell(testbed: Testbed, rows: Rows, method: str, shifted: str) -> str:
    """A method on a testbed at its greatest strength; nothing if there is no run."""
    strength = max({row["strength"] for row in rows}, key=float)
    before, after = (
        [100 * value for value in values(rows, method, strength, split).values()]
        for split in (next(iter(testbed.splits)), shifted)
    )
    if not after:
        return ""
    means = (rounded(statistics.fmean(numbers)) for numbers in (before, after))
    return "{:.1f} → {:.1f} ({:.1f}; {})".format(*means, rounded(min(after)), len(after))


if __name__ == "__main__":
    print(overview())
