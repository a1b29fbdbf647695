# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The Dice of every film and split, against arithmetic."""

from __future__ import annotations

import json

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_debias.apps.radiography.lung_masks.dice_report import DiceReport


def sample(name, split, pixels):
    """A row of four pixels; the prediction is the first two."""
    image = MetaTensor(torch.zeros(1, 1, 4), meta={"filename_or_obj": f"/films/{name}"})
    pred = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    return {"image": image, "split": split}, {"pred": pred, "label": torch.tensor([[pixels]])}


def test_films_and_splits(tmp_path):
    pairs = [
        sample("a.dcm", "test", [1, 1, 0, 0]),  # Dice 1
        sample("b.dcm", "test", [0, 1, 0, 0]),  # 2 * 1 / (2 + 1)
        sample("c.dcm", "other", [0, 0, 1, 1]),  # 0
    ]
    engine = Engine(lambda engine, batch: [output for _, output in pairs])
    DiceReport(tmp_path, root="/films").attach(engine)
    engine.run([[batch for batch, _ in pairs]])
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert results["test"]["films"] == 2
    assert results["test"]["mean"] == pytest.approx(5 / 6)
    assert results["test"]["standard_deviation"] == pytest.approx(1 / 3 / 2**0.5)
    assert (results["test"]["lowest"], results["test"]["film_of_the_lowest"]) == (pytest.approx(2 / 3), "b.dcm")
    assert results["other"] == {
        "films": 1,
        "mean": 0.0,
        "standard_deviation": None,
        "lowest": 0.0,
        "film_of_the_lowest": "c.dcm",
    }
    lines = (tmp_path / "dice.csv").read_text().splitlines()
    assert lines[:2] == ["split,file,dice", "test,a.dcm,1.0"]
    with pytest.raises(FileExistsError, match="or overwrite=True"):
        engine.run([[batch for batch, _ in pairs]])
    engine_again = Engine(lambda engine, batch: [output for _, output in pairs])
    DiceReport(tmp_path, overwrite=True).attach(engine_again)
    engine_again.run([[batch for batch, _ in pairs]])
    assert "/films/a.dcm" in (tmp_path / "dice.csv").read_text()
