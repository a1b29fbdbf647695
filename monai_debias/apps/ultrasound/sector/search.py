# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The fan with the largest sum of evidence inside: its directions are searched on a grid, coarse to fine."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_debias.apps.ultrasound.sector.fan import Fan, beam_coordinates
from monai_debias.apps.ultrasound.sector.rectangles import best_rectangle, best_threshold, good_rectangle

__all__ = ["fit_fan"]

Array = NDArray[Any]


class _Grid(NamedTuple):
    """One step of the search, on a grid of directions around each candidate of the step before."""

    blocks: int  # pixels are merged into blocks, so many along half of the larger side; 0: they are not merged
    bins: int  # of the histogram, along the beams and across them
    slope: float  # the grid's half-width in the slope
    spread: float  # and in the spread, times half of the height
    keep: int  # candidates for the next step


_ZOOM = (_Grid(36, 32, 0.075, 0.12, keep=2), _Grid(36, 40, 0.03, 0.04, keep=1), _Grid(0, 96, 0.012, 0.02, keep=1))
_POLISH = (_Grid(36, 48, 0.05, 0.08, keep=1), _Grid(0, 96, 0.012, 0.02, keep=1), _Grid(0, 128, 0.005, 0.008, keep=1))
_UPRIGHT = 0.5  # how much a leaning fan has to be better than an upright one: most are upright, dark edges mislead
_SLOPES = np.linspace(-0.45, 0.45, 7)
_SPREADS = np.array([-1.1, -1, -0.88, -0.7, -0.45, -0.2, 0, 0.2, 0.45, 0.7, 0.88, 1, 1.1])


def fit_fan(evidence: Array, start: Fan | None = None) -> Fan:
    """Find the fan with the largest sum of evidence inside.

    For given directions of the beams the best first and last beam and depth are those of the rectangle with the largest
    sum in a histogram over beam coordinates; the directions are searched on a grid, coarse to fine.

    Args:
        evidence: (rows, columns), positive where a pixel speaks for being in the sector and negative where against, as
            a log likelihood ratio does. At least one value is positive.
        start: a fan found for nearly the same evidence: only its neighbourhood is searched.

    Returns:
        The fan, in pixels.

    Raises:
        ValueError: when no evidence is positive.

    Example:
        >>> import numpy as np
        >>> evidence = np.full((60, 80), -1.0)
        >>> evidence[10:50, 20:60] = 1.0
        >>> bool((fit_fan(evidence).contains(60, 80)[12:48, 22:58]).all())
        True
    """
    rows, columns = np.nonzero(evidence > 0)
    if not len(rows):
        raise ValueError("the evidence has no positive value, so there is no best fan; expected at least one.")
    y0, y1, x0, x1 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    half = max(y1 - y0, x1 - x0) / 2
    if start is None:
        centre = (x0 + x1) / 2, (y0 + y1) / 2
        slope, spread = (grid.ravel() for grid in np.meshgrid(_SLOPES, _SPREADS * 2 / (y1 - y0)))
        cells = _Cells(evidence, centre, max(1, round(half / 18)))
        found = [fan for arc in (True, False) for fan in _best_fans(cells, slope, spread, arc, 20, exhaustive=True)]
        candidates = _distinct(sorted(found, key=lambda item: -item[0]), (y1 - y0) / 2)
        steps = _ZOOM
    else:
        centre, candidates, steps = (start.x, start.y), [(0.0, start)], _POLISH
    grid = [axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5))]
    for step in steps:
        cells = _Cells(evidence, centre, max(1, round(half / step.blocks)) if step.blocks else 1)
        better = []
        for _, fan in candidates:
            slope = fan.slope + grid[0] * step.slope
            spread = fan.spread + grid[1] * step.spread * 2 / (y1 - y0)
            near = _best_fans(cells, slope, spread, fan.arc_bottom, step.bins, exhaustive=False)
            better.append(max(near, key=lambda item: item[0]))
        candidates = sorted(better, key=lambda item: -item[0])[: step.keep]
    return _straighten_ends(evidence, candidates[0][1])


class _Cells:
    """The evidence as points around the centre, merged into blocks, without what is far from anything positive."""

    def __init__(self, evidence: Array, centre: tuple[float, float], merge: int) -> None:
        rows, columns = (n // merge * merge for n in evidence.shape)
        blocks = evidence[:rows, :columns].reshape(rows // merge, merge, columns // merge, merge).mean(axis=(1, 3))
        if not (blocks > 0).any():  # so few positive pixels that merging drowned them
            blocks, merge = evidence, 1
        y, x = np.nonzero(blocks > 0)
        box = slice(max(0, y.min() - 2), y.max() + 3), slice(max(0, x.min() - 2), x.max() + 3)
        row, column = np.mgrid[: blocks.shape[0], : blocks.shape[1]].astype(np.float32)
        self.weight = blocks[box].ravel()
        self.dx = (column[box].ravel() + 0.5) * merge - np.float32(centre[0])
        self.dy = (row[box].ravel() + 0.5) * merge - np.float32(centre[1])
        self.positive = self.weight > 0
        self.centre = centre


def _best_fans(
    cells: _Cells, slope: Array, spread: Array, arc: bool, bins: int, exhaustive: bool
) -> list[tuple[float, Fan]]:
    """For each direction of the beams the best beams and depths, with their sum of evidence."""
    slope, spread = (np.asarray(value, np.float32)[:, None] for value in (slope, spread))
    beam, depth, _ = beam_coordinates(slope, spread, cells.dx, cells.dy)
    if not arc:
        depth = np.broadcast_to(cells.dy, beam.shape)
    span = 2.5 * (cells.dx.max() - cells.dx.min())
    positive = np.where(np.abs(beam) < span, beam, np.nan)[:, cells.positive]
    positive[np.isnan(positive).all(axis=1)] = 0
    axes = [(beam, np.nanmin(positive, axis=1), np.nanmax(positive, axis=1))]
    axes.append((depth, depth[:, cells.positive].min(axis=1), depth[:, cells.positive].max(axis=1)))
    count = len(slope)
    index: Array = np.arange(count, dtype=np.int32)[:, None]
    scales = []
    for value, low, high in axes:
        step = (high - low) / bins + 1e-4
        index = (
            index * (bins + 2) + 1 + np.floor((value - low[:, None]) / step[:, None]).clip(-1, bins).astype(np.int32)
        )
        scales.append((low, step))
    table = np.bincount(index.ravel(), np.broadcast_to(cells.weight, beam.shape).ravel(), count * (bins + 2) ** 2)
    table = table.reshape(count, bins + 2, bins + 2)[:, 1:-1, 1:-1]
    limits, score = (best_rectangle if exhaustive else good_rectangle)(table)
    left, right, top, bottom = (scales[i // 2][0] + scales[i // 2][1] * limits[i] for i in range(4))
    tilt = slope[:, 0] + spread[:, 0] * (left + right) / 2
    converging = np.minimum(1, np.abs(spread[:, 0]) * (cells.dy.max() - cells.dy.min()) / 2)
    score = score * (1 - _UPRIGHT * np.minimum(tilt**2, 0.3) * converging)
    x, y = cells.centre
    return [
        (
            float(score[n]),
            Fan(
                x=x,
                y=y,
                slope=float(slope[n, 0]),
                spread=float(spread[n, 0]),
                left=float(left[n]),
                right=float(right[n]),
                top=float(top[n]),
                bottom=float(bottom[n]),
                arc_top=arc,
                arc_bottom=arc,
            ),
        )
        for n in range(count)
    ]


def _distinct(found: list[tuple[float, Fan]], half_height: float, count: int = 4) -> list[tuple[float, Fan]]:
    """The best few that are not each other's neighbours on the grid."""
    kept: list[tuple[float, Fan]] = []
    for score, fan in found:
        if all(
            fan.arc_top != other.arc_top
            or abs(fan.slope - other.slope) > 0.2
            or abs(fan.spread - other.spread) * half_height > 0.25
            for _, other in kept
        ):
            kept.append((score, fan))
        if len(kept) == count:
            break
    return kept


def _straighten_ends(evidence: Array, fan: Fan) -> Fan:
    """Choose an arc or a row for either end: a phased probe's picture may begin with a row and end with an arc."""
    y, x = np.mgrid[: evidence.shape[0], : evidence.shape[1]].astype(np.float32) + 0.5
    beam, arc, _ = beam_coordinates(fan.slope, fan.spread, x - fan.x, y - fan.y)
    between = (beam >= fan.left) & (beam <= fan.right)
    # undecided evidence (0) lies in the corners, where a row and an arc differ
    weight = np.where(evidence == 0, 0.3, evidence)[between]
    depth = {True: arc[between], False: (y - fan.y)[between]}
    own = fan.arc_top, fan.arc_bottom
    tissue = (weight > 0) & (depth[own[0]] >= fan.top) & (depth[own[1]] <= fan.bottom)
    if not tissue.any():  # the fan's slanted edges leave no cell of it inside
        return fan
    best, best_score = fan, -np.inf
    for ends in sorted(itertools.product((True, False), repeat=2), key=lambda ends: ends != own):  # own first, for ties
        bottom = depth[ends[1]][tissue].max()
        for _ in range(2):
            kept = depth[ends[1]] <= bottom
            minus_top, _ = best_threshold(-depth[ends[0]][kept], weight[kept])
            kept = -depth[ends[0]] <= minus_top
            bottom, score = best_threshold(depth[ends[1]][kept], weight[kept])
        if ends[0 if fan.spread > 0 else 1]:
            score *= 0.996  # the end at the probe is short: an arc there has to be clearly better than a row
        if score > best_score * 1.0005:
            best = replace(fan, top=-minus_top, bottom=bottom, arc_top=ends[0], arc_bottom=ends[1])
            best_score = score
    return best
