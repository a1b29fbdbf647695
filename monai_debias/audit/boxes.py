# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A regular grid of boxes over an image, a volume or a signal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["GRID", "Box", "box_mask", "boxes_of", "halves", "place"]

Box = tuple[tuple[int, int], ...]
"""First and last (excluded) position along each spatial dimension."""

GRID = {1: 16, 2: 8, 3: 4}
"""Boxes along each dimension, by the number of dimensions."""

_SIDES = {1: ("of the signal",), 2: ("from the top", "from the left"), 3: ("along x", "along y", "along z")}


def boxes_of(size: Sequence[int]) -> list[Box]:
    """The boxes of the grid over an image of some spatial shape; fewer where it has fewer positions.

    Args:
        size: spatial shape of 1 to 3 dimensions.

    Example:
        >>> len(boxes_of((64, 64))), boxes_of((64, 64))[1]
        (64, ((0, 8), (8, 16)))
    """
    n = GRID[len(size)]
    edges = [np.linspace(0, side, min(n, side) + 1).round().astype(int).tolist() for side in size]
    return list(itertools.product(*(list(itertools.pairwise(along)) for along in edges)))


def halves(box: Box) -> list[Box]:
    """A box cut in two along each dimension in which it has two positions or more.

    Example:
        >>> halves(((0, 4), (6, 7)))
        [((0, 2), (6, 7)), ((2, 4), (6, 7))]
    """
    sides = [[(a, (a + b) // 2), ((a + b) // 2, b)] if b - a > 1 else [(a, b)] for a, b in box]
    return list(itertools.product(*sides))


def place(box: Box, size: Sequence[int]) -> str:
    """Where a box is, in words.

    Args:
        box: the box.
        size: spatial shape of the image.

    Example:
        >>> place(((0, 8), (56, 64)), (64, 64))
        '0-12 % from the top, 88-100 % from the left'
    """
    return ", ".join(
        f"{100 * start / side:.0f}-{100 * end / side:.0f} % {name}"
        for (start, end), side, name in zip(box, size, _SIDES[len(size)], strict=True)
    )


def box_mask(boxes: Sequence[Box], size: Sequence[int]) -> torch.Tensor:
    """Boolean mask (spatial...) that is True in all of some boxes.

    Args:
        boxes: the boxes.
        size: spatial shape of the image.

    Example:
        >>> box_mask([((0, 1),), ((2, 3),)], (4,))
        tensor([ True, False,  True, False])
    """
    mask = torch.zeros(tuple(size), dtype=torch.bool)
    for box in boxes:
        mask[tuple(slice(*side) for side in box)] = True
    return mask
