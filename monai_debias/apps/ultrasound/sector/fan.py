# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The shape of an ultrasound sector, and the best such shape for a map of evidence.

Whatever the probe, its image is a rectangle in beam coordinates: from the first to the last beam, from the first to the
last depth. Phased, curved, linear, trapezoid and steered fields of view differ only in where the beams meet and whether
a line of equal depth is an arc or straight.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fan", "fit_fan"]

Array = NDArray[Any]

# The search: (pixels of evidence merged along each side, bins, half-width of the grid in slope and in spread,
# candidates kept); the first number is how many merged pixels the fan's larger half should have.
_ZOOM = ((36, 32, 0.075, 0.12, 2), (36, 40, 0.03, 0.04, 1), (0, 96, 0.012, 0.02, 1))
_POLISH = ((36, 48, 0.05, 0.08, 1), (0, 96, 0.012, 0.02, 1), (0, 128, 0.005, 0.008, 1))
_UPRIGHT = 0.5  # how much a leaning fan has to be better than an upright one: most are upright, dark edges mislead
_SLOPES = np.linspace(-0.45, 0.45, 7)
_SPREADS = np.array([-1.1, -1, -0.88, -0.7, -0.45, -0.2, 0, 0.2, 0.45, 0.7, 0.88, 1, 1.1])


@dataclass(frozen=True)
class Fan:
    """A field of view in beam coordinates around a centre point.

    The beam through (x, y) is named by where it crosses the row of the centre, and its direction there is
    ``slope + spread * crossing``: ``spread`` is the inverse of the distance from the centre to the point where the
    beams meet, positive above (phased and curved probes), 0 for parallel beams (linear probes), negative below
    (pictures upside down).

    Attributes:
        x: column of the centre, in the units of all lengths here (pixel edges are whole numbers, centres halves).
        y: row of the centre.
        slope: columns per row of the beam through the centre.
        spread: change of that direction per column.
        left: first beam.
        right: last beam.
        top: first depth, 0 at the centre.
        bottom: last depth.
        arc_top: whether the first depth is an arc around the meeting point (otherwise a row).
        arc_bottom: the same for the last depth.
        window: first and last column, first and last row of a rectangle that the field of view is cut off by.
    """

    x: float
    y: float
    slope: float
    spread: float
    left: float
    right: float
    top: float
    bottom: float
    arc_top: bool = True
    arc_bottom: bool = True
    window: tuple[float, float, float, float] = (-np.inf, np.inf, -np.inf, np.inf)

    def margins(
        self,
        rows: int,
        columns: int,
        scale: float = 1.0,
        box: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> Array:
        """Distance of each pixel from each of the eight edges, positive inside.

        Args:
            rows: number of rows.
            columns: number of columns.
            scale: pixels per unit of length of this fan.
            box: the rows and columns to compute; all by default.

        Returns:
            (8, rows, columns) of the box, float32: left, right, top, bottom, and the same four of the window, in units
            of the fan (exact near the edge).
        """
        x = (np.arange(columns, dtype=np.float32)[None, box[1]] + 0.5) / scale
        y = (np.arange(rows, dtype=np.float32)[box[0], None] + 0.5) / scale
        dx, dy = x - self.x, y - self.y
        beam, arc, widening = _beam_coordinates(self.slope, self.spread, dx, dy)
        across = (
            widening.clip(1e-3)
            / np.hypot(1, self.slope + self.spread * np.array([self.left, self.right]))[:, None, None]
        )
        row = np.broadcast_to(dy, beam.shape)
        x0, x1 = max(self.window[0], 0), min(self.window[1], columns / scale)
        y0, y1 = max(self.window[2], 0), min(self.window[3], rows / scale)
        return np.stack(
            [
                (beam - self.left) * across[0],
                (self.right - beam) * across[1],
                (arc if self.arc_top else row) - self.top,
                self.bottom - (arc if self.arc_bottom else row),
                *np.broadcast_arrays(x - x0, x1 - x, y - y0, y1 - y),
            ]
        ).astype(np.float32)

    def coordinates(self, rows: int, columns: int) -> tuple[Array, Array, Array]:
        """Beam, depth along arcs and depth along rows of each pixel, (rows, columns) each, 0 at the centre."""
        x, y = np.arange(columns, dtype=np.float32)[None] + 0.5, np.arange(rows, dtype=np.float32)[:, None] + 0.5
        beam, arc, _ = _beam_coordinates(self.slope, self.spread, x - self.x, y - self.y)
        return beam, arc, np.broadcast_to(y - self.y, beam.shape)

    def contains(self, rows: int, columns: int, scale: float = 1.0) -> NDArray[np.bool_]:
        """Which pixels' centres are inside.

        Args:
            rows: number of rows.
            columns: number of columns.
            scale: pixels per unit of length of this fan.

        Returns:
            (rows, columns) of bool.

        Example:
            >>> int(Fan(x=4, y=4, slope=0, spread=0, left=-2, right=2, top=-1, bottom=1).contains(8, 8).sum())
            8
        """
        inside: NDArray[np.bool_] = np.all(self.margins(rows, columns, scale) >= 0, axis=0)
        return inside


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
        zoom: Sequence = _ZOOM
    else:
        centre, candidates, zoom = (start.x, start.y), [(0.0, start)], _POLISH
    grid = [axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5))]
    for merged, bins, slope_step, spread_step, keep in zoom:
        cells = _Cells(evidence, centre, max(1, round(half / merged)) if merged else 1)
        better = []
        for _, fan in candidates:
            slope = fan.slope + grid[0] * slope_step
            spread = fan.spread + grid[1] * spread_step * 2 / (y1 - y0)
            near = _best_fans(cells, slope, spread, fan.arc_bottom, bins, exhaustive=False)
            better.append(max(near, key=lambda item: item[0]))
        candidates = sorted(better, key=lambda item: -item[0])[:keep]
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


def _beam_coordinates(slope: float | Array, spread: float | Array, dx: Array, dy: Array) -> tuple[Array, Array, Array]:
    """Name of the beam, depth along arcs (0 at the centre), and how much wider than at the centre beams are apart."""
    widening = 1 + spread * dy
    beam = np.where(widening > 1e-3, (dx - slope * dy) / np.maximum(widening, 1e-3), np.float32(1e6))
    # distance from the meeting point minus that of the centre, written so that it stays exact when the beams become
    # parallel
    away = spread * (dx * dx + dy * dy) + 2 * (slope * dx + dy)
    arc = away / (np.sqrt((slope + spread * dx) ** 2 + widening**2) + np.sqrt(1 + np.square(slope)))
    return beam, arc, widening


def _best_fans(
    cells: _Cells, slope: Array, spread: Array, arc: bool, bins: int, exhaustive: bool
) -> list[tuple[float, Fan]]:
    """For each direction of the beams the best beams and depths, with their sum of evidence."""
    slope, spread = (np.asarray(value, np.float32)[:, None] for value in (slope, spread))
    beam, depth, _ = _beam_coordinates(slope, spread, cells.dx, cells.dy)
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
    limits, score = (_best_rectangle if exhaustive else _good_rectangle)(table)
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


def _best_rectangle(table: Array) -> tuple[list[Array], Array]:
    """Limits (4 arrays) and sum of the rectangle with the largest sum in each (beams, depths) table: all depths."""
    count, beams, depths = table.shape
    first, last = np.triu_indices(depths + 1, 1)
    cumulative = np.concatenate([np.zeros((count, beams, 1)), table.cumsum(axis=2)], axis=2).astype(np.float32)
    slabs = np.moveaxis(cumulative[:, :, last] - cumulative[:, :, first], 1, 2)
    start, end, score = (a.reshape(count, -1) for a in _best_interval(slabs.reshape(-1, beams)))
    best = score.argmax(axis=1)
    each = np.arange(count)
    return [start[each, best], end[each, best], first[best], last[best]], score[each, best]


def _good_rectangle(table: Array) -> tuple[list[Array], Array]:
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
    beam, arc, _ = _beam_coordinates(fan.slope, fan.spread, x - fan.x, y - fan.y)
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
            minus_top, _ = _best_threshold(-depth[ends[0]][kept], weight[kept])
            kept = -depth[ends[0]] <= minus_top
            bottom, score = _best_threshold(depth[ends[1]][kept], weight[kept])
        if ends[0 if fan.spread > 0 else 1]:
            score *= 0.996  # the end at the probe is short: an arc there has to be clearly better than a row
        if score > best_score * 1.0005:
            best = replace(fan, top=-minus_top, bottom=bottom, arc_top=ends[0], arc_bottom=ends[1])
            best_score = score
    return best


def _best_threshold(values: Array, weight: Array) -> tuple[float, float]:
    """The threshold below which the weights have the largest sum, and this sum."""
    order = np.argsort(values)
    cumulative = weight[order].cumsum()
    best = int(cumulative.argmax())
    return float(values[order[best]]) + 0.25, float(cumulative[best])
