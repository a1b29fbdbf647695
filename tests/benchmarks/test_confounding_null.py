# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What docs/data_check.md says of chance and intervals is what was measured."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.confounding_null import DESIGNS, RESULTS, rows

GUIDE = (Path(__file__).parents[2] / "docs" / "data_check.md").read_text(encoding="utf-8").replace("\n", " ")


def test_the_guide_quotes_the_table():
    with RESULTS.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["design"] for row in table} == set(DESIGNS)
    assert {row["data_sets"] for row in table} == {"150"}

    def shares(event):
        return [100 * float(row["share"]) for row in table if row["event"].startswith(event)]

    alone, any_line, intervals = shares("p <= "), shares("any corrected"), shares("interval")
    assert f"{min(alone):.1f} to {max(alone):.1f} % of the p-values" in GUIDE
    assert f"{min(any_line):.1f} to {max(any_line):.1f} % of the data sets have any star" in GUIDE
    assert f"{min(intervals):.0f} to {max(intervals):.0f} % of the intervals hold the true value" in GUIDE


def test_a_row_for_each_design_and_event():
    found = list(rows(1))
    assert len(found) == len(DESIGNS) * 6
    assert all(share in (0, 1) or event == "p <= 0.05" for _, _, event, _, share, _ in found)
    assert all(error == pytest.approx(0) for *_, event, _, share, error in found if share in (0, 1))
