# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A grid of boxes over signals, images and volumes, also where they are smaller than the grid."""

from __future__ import annotations

import pytest
import torch

from monai_debias.audit.boxes import GRID, box_mask, boxes_of, place


@pytest.mark.parametrize("size", [(1000,), (5,), (64, 48), (33, 7), (1, 9), (12, 5, 3)])
def test_each_position_is_in_one_box(size):
    boxes = boxes_of(size)
    assert len(boxes) == torch.tensor([min(GRID[len(size)], side) for side in size]).prod()
    counts = sum(box_mask([box], size).int() for box in boxes)
    assert (counts == 1).all()
    assert torch.equal(box_mask(boxes[:2], size), box_mask(boxes[:1], size) | box_mask(boxes[1:2], size))


def test_a_place_in_words():
    assert place(((50, 100), (0, 25)), (100, 50)) == "50-100 % from the top, 0-50 % from the left"
    assert place(((0, 3),), (12,)) == "0-25 % of the signal"
    assert place(((0, 1), (1, 2), (2, 4)), (4, 4, 4)) == "0-25 % along x, 25-50 % along y, 50-100 % along z"
