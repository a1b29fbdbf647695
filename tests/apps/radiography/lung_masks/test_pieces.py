# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks that look like two lungs have no doubts; each way to be wrong has its own."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.apps.radiography.lung_masks.pieces import doubts_about, two_pieces

SIZE = 100


def lungs(*boxes):
    """Probabilities that are 1 in boxes (top, bottom, left, right)."""
    probability = np.zeros((SIZE, SIZE))
    for top, bottom, left, right in boxes:
        probability[top:bottom, left:right] = 1
    return probability


BOTH = ((20, 80, 15, 42), (20, 80, 58, 85))


def doubts(probability, agreement=1.0):
    return "; ".join(doubts_about(two_pieces(probability), agreement))


def test_two_lungs_have_no_doubts():
    assert doubts(lungs(*BOTH)) == ""


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        (((45, 55, 20, 40), (45, 55, 60, 80)), "covers 4% of the film"),
        (((0, 100, 0, 48), (0, 100, 52, 100)), "covers 96% of the film"),
        ((BOTH[0],), "one piece instead of two lungs"),
        ((BOTH[0], (20, 40, 58, 78)), "one lung is 4.0 times as large as the other"),
        (((5, 45, 15, 42), (55, 95, 58, 85)), "one lung is higher than the other by 50% of the film"),
        (((10, 45, 30, 70), (55, 90, 30, 70)), "the two pieces are not side by side"),
        ((*BOTH, (85, 100, 0, 40)), "more pieces than two, with 19% of the area"),
    ],
)
def test_what_does_not_look_like_two_lungs_is_told(boxes, expected):
    assert expected in doubts(lungs(*boxes))


def test_holes_and_disagreement_are_told():
    holed = lungs(*BOTH)
    holed[30:50, 20:36] = 0
    assert doubts(holed) == "holes with 10% of the area"
    assert doubts(lungs(*BOTH), 0.85) == "shifting or flipping the film changes it (Dice 0.85)"


def test_lungs_that_touch_come_apart_where_the_probability_is_higher():
    touching = lungs(*BOTH)
    touching[60:80, 42:58] = 0.75
    found = two_pieces(touching)
    assert found.mask.sum() == 2 * 60 * 27 + 20 * 16  # nothing is lost
    assert found.areas == pytest.approx((0.178, 0.178))
    assert doubts(touching) == ""
    touching[60:80, 42:58] = 1
    assert doubts(touching) == "one piece instead of two lungs"
