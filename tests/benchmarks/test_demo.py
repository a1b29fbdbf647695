# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import demo
from benchmarks.csv_file import read
from tests.preloaded_python import preloaded_python


def run_of(same: float, none: float, reverse: float) -> dict:
    accuracies = {"test_same": same, "test_random": none, "test_reversed": reverse}
    return {
        split: {
            "samples": 240,
            "patients": 60,
            "metrics": {metric: [accuracy, accuracy - 0.05, accuracy + 0.05] for metric in demo.METRICS},
        }
        for split, accuracy in accuracies.items()
    }


RESULTS = {"plain": [run_of(0.97, 0.6, 0.45), run_of(0.96, 0.58, 0.41)], "backmix": [run_of(0.92, 0.93, 0.925)] * 2}


def test_tables_by_hand():
    rows = demo.rows_of(RESULTS, [0, 1])
    assert demo.table_of_seeds(rows).splitlines()[2:] == [
        "| plain | 2 | 96.5 ± 0.7 (96.0) | 59.0 ± 1.4 (58.0) | 43.0 ± 2.8 (41.0) |",
        "| BackMix | 2 | 92.0 ± 0.0 (92.0) | 93.0 ± 0.0 (93.0) | 92.5 ± 0.0 (92.5) |",
    ]
    assert "| plain | reversed overlay | 43.0 ± 2.8 (41.0) |" in demo.table(RESULTS)
    one = {name: runs[:1] for name, runs in RESULTS.items()}
    assert "| plain | overlay as in training | 97.0 [92.0, 102.0] |" in demo.table(one)
    assert "- plain: -53.5 points with the overlay reversed" in demo.summary(RESULTS, 1.0)


@pytest.fixture(name="python")
def fixture_python(monkeypatch):
    """The interpreter that starts the bundle's commands has imported torch and MONAI already."""
    with preloaded_python() as python:
        monkeypatch.setattr(sys, "executable", str(python))
        yield


@pytest.mark.usefixtures("python")
def test_a_quick_run_and_what_it_leaves(tmp_path, capfd):
    file = tmp_path / "runs.csv"
    demo.main(str(tmp_path), seeds=3, methods="backmix", record=str(file), quick=True)
    printed = capfd.readouterr().out
    assert "BackMix, seed 3: trained in" in printed
    assert f"--checkpoint {tmp_path}/backmix_seed3/model.pt" in printed  # of the audit, which is to be done next
    (row,) = read(file)
    assert (row["method"], row["seed"]) == ("backmix", "3")
    assert all(row[key] for key in ("commit", "date", "processor", "versions"))
    assert 0 <= float(row["test_reversed_accuracy"]) <= 1
    assert all((tmp_path / f"{name}.png").stat().st_size > 20_000 for name in ("comparison", "heatmaps"))
    assert "| BackMix | reversed overlay |" in (tmp_path / "report.md").read_text(encoding="utf-8")
    demo.main(str(tmp_path), seeds=3, methods="backmix", quick=True)  # what is there is not run again
    assert "trained in" not in capfd.readouterr().out
    cohort = str(tmp_path / "cohort")
    first, second = (demo.examples(cohort) for _ in range(2))
    assert all(np.array_equal(a, b) for key in first for a, b in zip(first[key], second[key], strict=True))


def test_unknown_methods():
    with pytest.raises(ValueError, match=r"unknown methods \['baseline'\]; there are plain, backmix"):
        demo.main("nowhere", methods="baseline")
