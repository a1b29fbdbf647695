# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a mask of two lungs looks like, and what speaks against one that looks otherwise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Pieces", "doubts_about", "two_pieces"]

_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # of the probability
_AREA = (0.08, 0.65)  # of the film
_SMALLEST = 0.02  # of the film: a lung
_RATIO = 3.0  # of the larger lung to the smaller one
_STRAY, _HOLES = 0.1, 0.05  # of the lungs
_LEVEL = 0.2  # of the film: how far the middle of one lung may be above that of the other
_APART = 0.15  # of the film: how far the middles are from each other at least
_AGREEMENT = 0.94


class Pieces(NamedTuple):
    """A mask, tidied up.

    Attributes:
        mask: the two largest pieces without holes, (rows, columns).
        areas: of these pieces, the larger first, as shares of the film; fewer than two if there are no more.
        middles: of each, (row, column), as shares of rows and columns.
        stray: what lay beside them, as a share of the mask.
        holes: what was filled, as a share of the mask.
    """

    mask: NDArray[np.bool_]
    areas: tuple[float, ...]
    middles: tuple[tuple[float, float], ...]
    stray: float
    holes: float


def two_pieces(probability: NDArray[np.floating]) -> Pieces:
    """Keep the two largest pieces of where a probability is above 0.5, and fill their holes.

    The lungs may touch, in front of the spine. They count as two if they come apart where the probability is higher;
    each pixel then belongs to the nearer one.

    Args:
        probability: (rows, columns), which is above 0.5 somewhere.

    Example:
        >>> probability = np.zeros((10, 10))
        >>> probability[2:8, 1:4] = probability[2:8, 6:9] = 1
        >>> probability[7, 4:6] = 0.6  # a bridge
        >>> probability[4, 2] = 0  # a hole
        >>> probability[0, 9] = 1  # a stray pixel
        >>> found = two_pieces(probability)
        >>> int(found.mask.sum()), found.areas, round(found.stray, 3), round(found.holes, 3)
        (38, (0.19, 0.19), 0.026, 0.026)
    """
    seeds = _seeds(probability)
    pieces, _ = ndimage.label(probability > 0.5)
    kept = np.isin(pieces, np.unique(pieces[seeds > 0]))
    mask = ndimage.binary_fill_holes(kept)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    owner = np.where(mask, seeds[tuple(nearest)], 0)
    lungs = sorted((owner == k for k in range(1, seeds.max() + 1)), key=lambda lung: -lung.sum())
    middles = [ndimage.center_of_mass(lung) for lung in lungs]
    rows, columns = mask.shape
    return Pieces(
        mask=mask,
        areas=tuple(float(lung.mean()) for lung in lungs),
        middles=tuple((row / rows, column / columns) for row, column in middles),
        stray=float(((pieces > 0) & ~kept).sum() / mask.sum()),
        holes=float((mask & ~kept).sum() / mask.sum()),
    )


def _seeds(probability: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number the two largest pieces at the lowest level at which both are large; if there is none, those at 0.5."""
    found = [_largest(probability > level) for level in _LEVELS]
    return next((seeds for seeds in found if (seeds == 2).mean() >= _SMALLEST), found[0])


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the two largest pieces 1 and 2, the rest 0."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    seeds = np.zeros(mask.shape, np.int64)
    for number, label in enumerate(1 + np.argsort(-sizes, kind="stable")[:2], 1):
        seeds[labels == label] = number
    return seeds


def doubts_about(pieces: Pieces, agreement: float) -> list[str]:
    """Say what speaks against a mask of lungs.

    Args:
        pieces: the mask.
        agreement: how much the masks of the same film, shifted a little or flipped, agree, 0 to 1.

    Example:
        >>> probability = np.zeros((10, 10))
        >>> probability[2:8, 1:4] = 1
        >>> doubts_about(two_pieces(probability), 0.95)
        ['one piece instead of two lungs']
    """
    area, found = sum(pieces.areas), []
    if not _AREA[0] <= area <= _AREA[1]:
        found.append(f"covers {area:.0%} of the film, expected {_AREA[0]:.0%} to {_AREA[1]:.0%}")
    if len(pieces.areas) < 2 or pieces.areas[1] < _SMALLEST:
        found.append("one piece instead of two lungs")
    else:
        found += _about_two(pieces)
    if pieces.stray > _STRAY:
        found.append(f"more pieces than two, with {pieces.stray:.0%} of the area")
    if pieces.holes > _HOLES:
        found.append(f"holes with {pieces.holes:.0%} of the area")
    if agreement < _AGREEMENT:
        found.append(f"shifting or flipping the film changes it (Dice {agreement:.2f})")
    return found


def _about_two(pieces: Pieces) -> list[str]:
    found = []
    ratio = pieces.areas[0] / pieces.areas[1]
    down, across = np.abs(np.diff(np.array(pieces.middles), axis=0))[0]
    if ratio > _RATIO:
        found.append(f"one lung is {ratio:.1f} times as large as the other")
    if down > _LEVEL:
        found.append(f"one lung is higher than the other by {down:.0%} of the film")
    if across < _APART:
        found.append("the two pieces are not side by side")
    return found
