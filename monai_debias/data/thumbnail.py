# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Small copies of images that are alike where the images are, whatever their size, brightness, contrast or polarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

__all__ = ["Pair", "near_pairs", "thumbnail"]

_SIDES = {1: (256,), 2: (24, 24), 3: (12, 12, 8)}
_AT_ONCE = 2048  # images on either side of a product
_COMMON, _FEW = 16, 160  # directions that images share; images without which nobody knows these
_NEAR, _NEAR_WITHOUT_COMMON = 0.995, 0.8


class Pair(NamedTuple):
    """Two images that are nearly the same.

    Attributes:
        first: number of the image on the one side.
        second: number of that on the other.
        cosine: of their thumbnails, -1 for a negative.
    """

    first: int
    second: int
    cosine: float


def thumbnail(image: np.ndarray) -> NDArray[np.float32] | None:
    """Average an image over a coarse grid: 24 × 24, 12 × 12 × 8, or 256 samples of each channel of a signal.

    Args:
        image: shape (C, spatial...) with one to three spatial dimensions; NaN counts as 0.

    Returns:
        A vector with mean 0 and length 1; None where the image is constant, or has other dimensions.

    Example:
        >>> image = np.random.default_rng(0).random((1, 96, 64))
        >>> small, large = thumbnail(image), thumbnail(3 * np.repeat(image, 2, axis=1) + 5)
        >>> small.shape, float(small @ large) > 0.999
        ((576,), True)
    """
    spatial = image.ndim - 1
    if spatial not in _SIDES or image.size == 0:
        return None
    values = np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0)
    picture = torch.from_numpy(values if spatial == 1 else values.mean(0, keepdims=True))
    pools: dict[int, Any] = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
    small = pools[spatial](picture[None], _SIDES[spatial]).flatten().double().numpy()
    small -= small.mean()
    length = np.linalg.norm(small)
    return (small / length).astype(np.float32) if length > 1e-6 * np.abs(values).max() else None


def near_pairs(first: Sequence[NDArray[np.float32] | None], second: Sequence[NDArray[np.float32] | None]) -> list[Pair]:
    """Find, for each image of one side, the image of the other that it is nearest to, if it is near enough.

    What all images have in common is taken off first, since films of a chest are all alike: the 16 first singular
    vectors of the thumbnails, after which a cosine of 0.8 counts as near. Of fewer than 160 images nobody can say what
    they have in common, and 0.995 of the thumbnails themselves counts. Found are copies at another size, in JPEG, with
    noise, brighter, of more contrast, or inverted; not cropped, turned, or with another gamma. Takes time in proportion
    to the product of both numbers, about a minute for 80,000 by 25,000 images, and little memory.

    Args:
        first: thumbnails of one side, see :func:`thumbnail`.
        second: those of the other.

    Example:
        >>> a, b, c = (thumbnail(np.random.default_rng(n).random((1, 48, 48))) for n in range(3))
        >>> near_pairs([a, b], [c, None, -b])
        [Pair(first=1, second=2, cosine=-1.0)]
    """
    found = []
    for size in sorted({len(one) for one in first if one is not None}):
        sides = [[n for n, one in enumerate(side) if one is not None and len(one) == size] for side in (first, second)]
        if not sides[1]:
            continue
        here, there = (
            np.stack([side[n] for n in numbers])  # type: ignore[misc]
            for side, numbers in zip((first, second), sides, strict=True)
        )
        least = _NEAR
        if len(here) + len(there) >= _FEW:
            least = _NEAR_WITHOUT_COMMON
            gram = here.T @ here + there.T @ there
            common = np.linalg.eigh(gram.astype(np.float64))[1][:, -_COMMON:].astype(np.float32)
            here, there = (_without(rows, common) for rows in (here, there))
        for start in range(0, len(here), _AT_ONCE):
            best, cosine = _nearest(here[start : start + _AT_ONCE], there)
            found += [
                Pair(sides[0][start + row], sides[1][int(best[row])], round(float(cosine[row]), 4))
                for row in np.flatnonzero(np.abs(cosine) >= least)
            ]
    return sorted(found)


def _without(rows: NDArray[np.float32], common: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows less their part along common directions (D, K), of length 1."""
    rest = rows - (rows @ common) @ common.T
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.where(length > 1e-3, rest / np.maximum(length, 1e-3), 0)


def _nearest(rows: NDArray[np.float32], others: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest of the others to each row, and its cosine."""
    best, cosine = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.float32)
    for start in range(0, len(others), _AT_ONCE):
        product = rows @ others[start : start + _AT_ONCE].T
        place = np.abs(product).argmax(1)
        value = product[np.arange(len(rows)), place]
        better = np.abs(value) > np.abs(cosine)
        best[better], cosine[better] = place[better] + start, value[better]
    return best, cosine
