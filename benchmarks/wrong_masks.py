# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks that are wrong by a known amount: smoothly deformed to a Dice, or dilated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import distance

__all__ = ["deformed", "dice", "dilated"]

_SMOOTH = 1 / 10  # of the longer side: standard deviation of the blur of a displacement
_HALVINGS, _TRIES = 16, 5


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Twice the area that two masks share, by the sum of their areas.

    Args:
        one: (rows, columns).
        other: of the same shape.

    Example:
        >>> dice(np.array([True, True, True, False]), np.array([True, False, False, False]))
        0.5
    """
    return 1 - float(distance.dice(one.ravel(), other.ravel()))


def deformed(mask: NDArray[np.bool_], target: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Move a mask by a smooth random field that is just strong enough for a Dice with the mask itself.

    Args:
        mask: (rows, columns), not empty.
        target: the Dice, above 0 and below 1.
        rng: draws the field.

    Raises:
        ValueError: when five fields in turn have not led near this Dice, as for a mask of a few pixels.

    Example:
        >>> mask = np.zeros((64, 64), bool)
        >>> mask[12:52, 8:28] = mask[12:52, 36:56] = True
        >>> moved = deformed(mask, 0.8, np.random.default_rng(0))
        >>> abs(dice(moved, mask) - 0.8) < 0.02
        True
    """
    for _ in range(_TRIES):
        field = _field(mask.shape, rng)
        low, high = 0.0, float(max(mask.shape))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if dice(_moved(mask, middle * field), mask) > target else (low, middle)
        best = min(
            (_moved(mask, strength * field) for strength in (low, high)), key=lambda m: abs(dice(m, mask) - target)
        )
        if abs(dice(best, mask) - target) < 0.02:
            return best
    raise ValueError(f"no deformation with a Dice of {target} was found for a mask of {int(mask.sum())} pixels.")


def dilated(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Add all pixels that are nearer to a mask than a share of the image's longer side.

    Args:
        mask: (rows, columns), not empty.
        share: such as 0.05.

    Example:
        >>> mask = np.zeros((20, 20), bool)
        >>> mask[10, 10] = True
        >>> int(dilated(mask, 0.05).sum()), int(dilated(mask, 0.1).sum())
        (5, 13)
    """
    return np.asarray(ndimage.distance_transform_edt(~mask) <= share * max(mask.shape))


def _field(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Displacements (2, rows, columns) of a root mean square of 1 pixel."""
    smooth = [ndimage.gaussian_filter(rng.normal(size=shape), _SMOOTH * max(shape)) for _ in shape]
    field = np.stack(smooth)
    return np.asarray(field / np.sqrt(np.square(field).mean()))


def _moved(mask: NDArray[np.bool_], field: NDArray[np.float64]) -> NDArray[np.bool_]:
    places = np.indices(mask.shape) + field
    return np.asarray(ndimage.map_coordinates(mask.astype(np.uint8), places, order=0) > 0)
