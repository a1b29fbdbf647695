# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest

from monai_debias.apps.ultrasound.sector.rectangles import best_rectangle, best_threshold, good_rectangle


def sum_inside(table: np.ndarray, left: int, right: int, top: int, bottom: int) -> float:
    return float(table[left:right, top:bottom].sum())


@pytest.mark.parametrize("seed", range(3))
def test_no_other_rectangle_has_a_larger_sum(seed: int) -> None:
    tables = np.random.default_rng(seed).normal(size=(4, 5, 6))
    limits, scores = best_rectangle(tables)
    for table, score, *own in zip(tables, scores, *limits, strict=True):
        pairs = (itertools.combinations(range(size + 1), 2) for size in table.shape)
        largest = max(sum_inside(table, *beams, *depths) for beams, depths in itertools.product(*pairs))
        assert sum_inside(table, *own) == pytest.approx(largest, rel=1e-5)
        assert score == pytest.approx(largest, rel=1e-5)


def test_by_turns_it_finds_a_block_that_fills_most_of_the_table() -> None:
    tables = np.random.default_rng(0).normal(-1, 0.1, size=(3, 20, 30))
    tables[:, 4:16, 5:25] = 1
    limits, scores = good_rectangle(tables)
    assert [list(limit) for limit in limits] == [[4] * 3, [16] * 3, [5] * 3, [25] * 3]
    assert scores == pytest.approx([240] * 3)


def test_threshold_lies_above_the_last_value_that_is_worth_it() -> None:
    threshold, total = best_threshold(np.array([3.0, 1.0, 2.0, 4.0]), np.array([1.0, 2.0, -0.5, -3.0]))
    assert (threshold, total) == (3.25, 2.5)
