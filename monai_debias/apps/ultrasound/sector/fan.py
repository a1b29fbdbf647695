# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The shape of an ultrasound sector.

Whatever the probe, its image is a rectangle in beam coordinates: from the first to the last beam, from the first to the
last depth. Phased, curved, linear, trapezoid and steered fields of view differ only in where the beams meet and whether
a line of equal depth is an arc or straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fan", "beam_coordinates"]

Array = NDArray[Any]


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
        beam, arc, widening = beam_coordinates(self.slope, self.spread, dx, dy)
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
        beam, arc, _ = beam_coordinates(self.slope, self.spread, x - self.x, y - self.y)
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


def beam_coordinates(slope: float | Array, spread: float | Array, dx: Array, dy: Array) -> tuple[Array, Array, Array]:
    """Name of the beam, depth along arcs (0 at the centre), and how much wider than at the centre beams are apart."""
    widening = 1 + spread * dy
    beam = np.where(widening > 1e-3, (dx - slope * dy) / np.maximum(widening, 1e-3), np.float32(1e6))
    # distance from the meeting point minus that of the centre, written so that it stays exact when the beams become
    # parallel
    away = spread * (dx * dx + dy * dy) + 2 * (slope * dx + dy)
    arc = away / (np.sqrt((slope + spread * dx) ** 2 + widening**2) + np.sqrt(1 + np.square(slope)))
    return beam, arc, widening
