# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of the evidence are those of the runs: pages and quoted tables are what the CSV files give."""

from __future__ import annotations

import re

import pytest

from benchmarks import demo
from benchmarks.csv_file import MADE_BY, RESULTS, ROOT, read
from benchmarks.evidence.overview import overview
from benchmarks.evidence.report import by_strength, report, summary
from benchmarks.evidence.testbeds import TESTBEDS
from benchmarks.evidence.verdict import ranking_table

GUIDE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN = [name for name in TESTBEDS if (RESULTS / f"{name}.csv").exists()]
ECHO_TABLE = RESULTS / "echo_demo_table.csv"
WHAT_WAS_RUN = (
    *("table", "of", "variant", "method", "network", "settings", "seed", "strength", "quarter", "testbed", "audit"),
    *("design", "measure", "event", "masks", "bundle", "section", "clips", "kept", "images", "check"),
)


def rows_of(name: str) -> list[dict[str, str]]:
    return read(RESULTS / f"{name}.csv")


@pytest.mark.parametrize("name", RUN)
def test_pages_are_made_of_the_runs(name, tmp_path):
    text = report(TESTBEDS[name], rows_of(name), tmp_path / name)
    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == text
    assert all((RESULTS / file.name).exists() for file in tmp_path.iterdir())


@pytest.mark.parametrize("name", RUN)
def test_the_guide_quotes_them(name):
    assert summary(TESTBEDS[name], rows_of(name)) in GUIDE


def test_the_guide_quotes_what_follows_from_them():
    assert by_strength(TESTBEDS["biased_mnist"], rows_of("biased_mnist")) in GUIDE
    assert ranking_table(TESTBEDS["echo_demo"], rows_of("echo_demo")) in GUIDE


@pytest.mark.parametrize(("name", "title"), [("biased_mnist", "the settings"), ("echo_demo", "the echo settings")])
def test_scores_of_candidates_are_those_of_the_tuning(name, title):
    """Every number with a tenth in the table is the score of a candidate, in percent."""
    section = GUIDE.split(f"### How {title} came about\n")[1].split("\n#")[0]
    table = [line for line in section.splitlines() if line.startswith("|")][2:]
    quoted = {number for line in table for number in re.findall(r"\d\d\.\d", line)}
    scores = {f"{100 * float(row['score']):.1f}" for row in rows_of(f"tuning_{name}")}
    assert len(quoted) > 10
    assert quoted <= scores


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.csv")), ids=lambda file: file.stem)
def test_every_line_says_what_made_it_and_no_run_is_counted_twice(file):
    rows = read(file)
    runs = [tuple(row[key] for key in WHAT_WAS_RUN if key in row) for row in rows]
    assert len(set(runs)) == len(rows)
    assert all(row[key] for row in rows for key in MADE_BY)
    assert all(len(row["commit"]) >= 7 and row["commit"] != "unknown" for row in rows)


def test_the_readme_quotes_all_testbeds():
    assert overview() in README


def test_the_readme_quotes_the_echo_table():
    assert demo.table_of_seeds(read(ECHO_TABLE)) in README
