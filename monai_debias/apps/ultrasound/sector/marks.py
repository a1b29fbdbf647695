# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Marks that reach over the edges of a sector: ticks, icons, letters; bright, and never changing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_debias.apps.ultrasound.sector.fit import Fit

__all__ = ["cut_overlays"]

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

_OVERLAY_CONTRAST = 20.0  # grey levels of 255
_OVERLAY_FLICKER = 0.12  # change between frames relative to the brightness; speckle has 0.3 and more


def cut_overlays(fit: Fit, still: Array, change: Array) -> Mask:
    """The fan in pixels, without the marks that reach over its edges."""
    whole = np.zeros(still.shape, bool)
    size, near = fit.evidence.size, 0.01 * max(still.shape)
    high, wide = (
        slice(max(0, int(lines[0] * size - 4 * near)), int((lines[-1] + 2) * size + 4 * near))
        for lines in (np.flatnonzero(fit.inside.any(axis=axis)) for axis in (1, 0))
    )
    box = high, wide
    margins = fit.fan.margins(still.shape[0], still.shape[1], size, box)
    depth = margins.min(axis=0) * size
    mask: Mask = np.asarray(depth >= 0)
    contrast = still[box] - (float(np.median(still[box][~mask])) if not mask.all() else 0.0)
    overlay = (contrast > _OVERLAY_CONTRAST) & (change[box] < _OVERLAY_FLICKER * contrast)
    labels, count = ndimage.label(overlay & (depth < 3 * near))
    total, within = (np.bincount(labels[where], minlength=count + 1) for where in (labels > 0, mask & (labels > 0)))
    deepest = _largest_of(depth, labels, count)
    # a mark stands at the edge or mostly outside; what reaches further in may as well be bright tissue
    edgy = (within > 0) & ((within <= 0.5 * total) | (deepest < near))
    whole[box] = _without_marks(mask, margins, np.where(mask & edgy[labels], labels, 0), size) if edgy.any() else mask
    return whole


def _without_marks(mask: Mask, margins: Array, marks: NDArray[np.integer], size: int) -> Mask:
    """Move edges inwards past numbered marks, each by the edge that loses the fewest pixels, the cheapest marks first.

    A mark may cost a hundredth of the mask, all together a fiftieth.
    """
    numbers, marked = np.unique(marks[marks > 0], return_inverse=True)
    here = marks > 0
    limits = np.stack([_largest_of(margin[here], marked + 1, len(numbers))[1:] for margin in margins]) + 0.5 / size
    step = max(1, size // 3)  # a part of the pixels tells what share of them is lost
    few = mask[::step, ::step]
    lost = np.stack(
        [
            np.sort(margin[::step, ::step][few]).searchsorted(limit, "right")
            for margin, limit in zip(margins, limits, strict=True)
        ]
    )
    area = few.sum()
    order = np.argsort(lost.min(axis=0), kind="stable")
    chosen = np.arange(len(margins))[:, None] == lost.argmin(axis=0)[order]
    spent = np.maximum.accumulate(np.where(chosen, lost[:, order], 0), axis=1).sum(axis=0)
    affordable = (spent <= 0.02 * area) & (lost.min(axis=0)[order] <= 0.01 * area)
    inwards = np.where(chosen & affordable, limits[:, order], -np.inf).max(axis=1)
    return mask & (margins > inwards[:, None, None]).all(axis=0)


def _largest_of(values: Array, labels: NDArray[np.integer], count: int) -> Array:
    """The largest value under each label from 0 to ``count``."""
    largest = np.full(count + 1, -np.inf, values.dtype)
    labelled = labels > 0
    np.maximum.at(largest, labels[labelled], values[labelled])
    return largest
