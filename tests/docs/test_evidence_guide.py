# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of the evidence are those of the runs: pages and quoted tables are what the CSV files give."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from evidence import read
from testbeds import TESTBEDS
from testbeds.report import report, summary

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MEASURED = [name for name in TESTBEDS if (RESULTS / f"{name}.csv").exists()]


def test_there_are_results():
    assert "biased_mnist" in MEASURED


@pytest.mark.parametrize("name", MEASURED)
def test_pages_are_made_of_the_runs(name, tmp_path):
    rows = read(RESULTS / f"{name}.csv")
    text = report(TESTBEDS[name], rows, tmp_path / name)
    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == text
    assert all((RESULTS / file.name).exists() for file in tmp_path.iterdir())


@pytest.mark.parametrize("name", MEASURED)
def test_the_guide_quotes_them(name):
    quoted = summary(TESTBEDS[name], read(RESULTS / f"{name}.csv"))
    assert quoted in (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MEASURED)
def test_no_run_is_counted_twice_and_all_of_them_name_a_commit(name):
    rows = read(RESULTS / f"{name}.csv")
    runs = {(row["method"], row["seed"], row["strength"]) for row in rows}
    assert len(runs) == len(rows)
    assert all(len(row["commit"]) >= 7 for row in rows)
    assert {row["method"] for row in rows} <= set(TESTBEDS[name].METHODS)


def test_the_readme_quotes_the_biased_mnist():
    rows = read(RESULTS / "biased_mnist.csv")
    quoted = summary(TESTBEDS["biased_mnist"], rows)
    assert quoted in (ROOT / "README.md").read_text(encoding="utf-8")
