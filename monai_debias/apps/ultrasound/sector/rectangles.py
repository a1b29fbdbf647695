# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a table or a line of weights has its largest sum: the best rectangle, interval or threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_rectangle", "best_threshold", "good_rectangle"]

Array = NDArray[Any]


def best_rectangle(table: Array) -> tuple[list[Array], Array]:
    """Limits (4 arrays) and sum of the rectangle with the largest sum in each (beams, depths) table: all depths."""
    count, beams, depths = table.shape
    first, last = np.triu_indices(depths + 1, 1)
    cumulative = np.concatenate([np.zeros((count, beams, 1)), table.cumsum(axis=2)], axis=2).astype(np.float32)
    slabs = np.moveaxis(cumulative[:, :, last] - cumulative[:, :, first], 1, 2)
    start, end, score = (a.reshape(count, -1) for a in _best_interval(slabs.reshape(-1, beams)))
    best = score.argmax(axis=1)
    each = np.arange(count)
    return [start[each, best], end[each, best], first[best], last[best]], score[each, best]


def good_rectangle(table: Array) -> tuple[list[Array], Array]:
    """The same by turns: best beams for the depths, best depths for the beams; enough when nearly right already."""
    count, beams, depths = table.shape
    each = np.arange(count)
    by_beam = np.concatenate([np.zeros((count, 1, depths)), table.cumsum(axis=1)], axis=1)
    by_depth = np.concatenate([np.zeros((count, beams, 1)), table.cumsum(axis=2)], axis=2)
    top, bottom, score = _best_interval(table.sum(axis=1))
    for _ in range(3):
        left, right, _ = _best_interval(by_depth[each, :, bottom] - by_depth[each, :, top])
        top, bottom, score = _best_interval(by_beam[each, right] - by_beam[each, left])
    return [left, right, top, bottom], score


def _best_interval(values: Array) -> tuple[Array, Array, Array]:
    """Start, end (exclusive) and sum of the interval with the largest sum in each row (Kadane's algorithm)."""
    cumulative = np.concatenate([np.zeros((len(values), 1), values.dtype), values.cumsum(axis=1)], axis=1)
    gain = cumulative - np.minimum.accumulate(cumulative, axis=1)
    end = gain.argmax(axis=1)
    before = np.where(np.arange(cumulative.shape[1]) <= end[:, None], cumulative, np.inf)
    return before.argmin(axis=1), end, gain[np.arange(len(values)), end]


def best_threshold(values: Array, weight: Array) -> tuple[float, float]:
    """The threshold below which the weights have the largest sum, and this sum."""
    order = np.argsort(values)
    cumulative = weight[order].cumsum()
    best = int(cumulative.argmax())
    return float(values[order[best]]) + 0.25, float(cumulative[best])
