# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks are as wrong as they are said to be, and reach the training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from benchmarks.evidence import mask_quality
from benchmarks.evidence.mask_quality import QUALITIES, table, with_wrong_masks
from benchmarks.parts import Parts
from benchmarks.wrong_masks import deformed, dilated

ROWS, COLUMNS = np.indices((64, 64))
LUNGS = sum(((ROWS - 32) / 22) ** 2 + ((COLUMNS - middle) / 11) ** 2 < 1 for middle in (18, 46)).astype(bool)


@pytest.mark.parametrize("target", [0.95, 0.9, 0.8, 0.6])
def test_a_deformed_mask_has_the_dice_that_was_asked_for(target):
    for seed in range(3):
        moved = deformed(LUNGS, target, np.random.default_rng(seed))
        assert f1_score(LUNGS.ravel(), moved.ravel()) == pytest.approx(target, abs=0.02)
    other = deformed(LUNGS, target, np.random.default_rng(0))
    assert not np.array_equal(other, moved)


def test_a_dilated_mask_has_the_distance_that_was_asked_for():
    point = np.zeros((64, 64), bool)
    point[30, 30] = True
    rows, columns = np.nonzero(dilated(point, 0.1))
    distances = np.hypot(rows - 30, columns - 30)
    assert distances.max() <= 6.4 < distances.max() + 1
    assert len(rows) == (np.hypot(ROWS - 30, COLUMNS - 30) <= 6.4).sum()


def test_all_masks_of_a_training_are_wrong_and_the_seed_decides_how():
    mask = torch.from_numpy(LUNGS[None].astype(np.uint8))
    samples = [{"image": torch.zeros(1, 64, 64), "label": 0, "mask": mask} for _ in range(3)]

    def masks(seed):
        step = with_wrong_masks(QUALITIES["dice80"].change)
        return [s["mask"] for s in step(Parts(nn.Linear(1, 1), (), 2, samples, seed)).samples]

    first, again, other = masks(0), masks(0), masks(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])
    assert all(m.shape == mask.shape and m.dtype == torch.uint8 for m in first)
    assert torch.equal(samples[0]["mask"], mask)


def test_the_table_has_a_line_for_each_kind_of_masks():
    made = {"mask_dice": "0.8", "seed": "0"}
    rows = [
        {**made, "method": "plain", "of": "none", "reversed": "0.1"},
        {**made, "method": "backmix", "of": "dice80", "reversed": "0.75"},
        {**made, "method": "backmix", "of": "dice80", "reversed": "0.85", "seed": "1"},
    ]
    head, rule, wrong, plain = table(rows, "reversed").splitlines()
    assert head == "| masks | Dice | BackMix |"
    assert rule == "|---|---:|---:|"
    assert wrong == "| deformed to a Dice of 0.8 | 0.80 | 80.0 ± 7.1 (75.0) |"
    assert plain == "| the plain network, which takes none |  | 10.0 |"


def test_a_run_with_wrong_masks(monkeypatch, tmp_path):
    films = mask_quality.chest_xray.Films(
        torch.rand(12, 1, 64, 64, generator=torch.Generator().manual_seed(0)),
        torch.arange(12) % 3,
        torch.from_numpy(LUNGS.astype(np.uint8)).expand(12, 1, 64, 64),
    )
    monkeypatch.setattr(mask_quality.chest_xray, "cohort", lambda *_: tmp_path)
    monkeypatch.setattr(mask_quality.chest_xray, "load", lambda folder, section, cropped=False: films)
    row = mask_quality.one_run("backmix", "dilated5", 0, True)
    assert (row["method"], row["of"], row["epoch"]) == ("backmix", "dilated5", 1)
    area = dilated(LUNGS, 0.05).sum()
    assert row["mask_dice"] == pytest.approx(2 * LUNGS.sum() / (LUNGS.sum() + area))
