# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Drawing with ellipses and strokes in centimetres: a shape is a distance to it, painted where that is negative."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Field", "Point"]

Field = NDArray[np.float32]
Point = tuple[float, float]


class Canvas:
    """A canvas of echogenicity that shapes are painted on, the later ones over the earlier ones."""

    def __init__(self, x: Field, y: Field, level: float) -> None:
        self.x, self.y = x, y
        self.echo: Field = np.full_like(x, level)

    def ellipse(self, centre: Point, across: float, along: float, tilt: float = 0.0) -> Field:
        """Approximate distance in cm to an ellipse, negative inside; a positive ``tilt`` moves its foot to the right.

        Args:
            centre: its centre.
            across: half of its width in cm.
            along: half of its height in cm.
            tilt: angle in degrees.
        """
        sin, cos = np.float32(np.sin(np.radians(tilt))), np.float32(np.cos(np.radians(tilt)))
        dx, dy = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        u = (dx * cos - dy * sin) / np.float32(across)
        v = (dx * sin + dy * cos) / np.float32(along)
        radius = np.sqrt(u * u + v * v) + np.float32(1e-6)
        # First-order distance: (f - 1) / |grad f| with f = radius.
        slope = np.sqrt((u / np.float32(across)) ** 2 + (v / np.float32(along)) ** 2) + np.float32(1e-6)
        return (radius - 1) * radius / slope

    def vessel(self, start: Point, half: float, slope: float) -> Field:
        """Approximate distance in cm to a vessel, seen lengthwise, that leaves ``start`` to the right; negative inside.

        Args:
            start: the middle of its open end.
            half: half of its width in cm.
            slope: how many cm deeper it gets with each cm to the right.
        """
        dx = self.x - np.float32(start[0])
        across = np.abs(self.y - np.float32(start[1]) - dx * np.float32(slope)) - np.float32(half)
        return np.maximum(across, -dx)

    def fill(self, distance: Field, level: float, softness: float = 0.15) -> None:
        """Paint where ``distance`` is negative, with an edge of ``softness`` cm."""
        cover = np.clip(0.5 - distance * np.float32(1 / softness), 0, 1)
        self.echo += cover * (np.float32(level) - self.echo)

    def rim(self, distance: Field, level: float, width: float) -> None:
        """Paint a line of ``width`` cm along the border of a shape."""
        self.fill(np.abs(distance) - np.float32(width / 2), level, softness=0.2)

    def stroke(self, points: list[Point], level: float, width: float) -> None:
        """Paint a line of ``width`` cm through the points."""
        distance = None
        for (x0, y0), (x1, y1) in pairwise(points):
            ax, ay = np.float32(x1 - x0), np.float32(y1 - y0)
            dx, dy = self.x - np.float32(x0), self.y - np.float32(y0)
            t = np.clip((dx * ax + dy * ay) / (ax * ax + ay * ay + np.float32(1e-6)), 0, 1)
            piece = (dx - t * ax) ** 2 + (dy - t * ay) ** 2
            distance = piece if distance is None else np.minimum(distance, piece)
        if distance is not None:
            self.fill(np.sqrt(distance) - np.float32(width / 2), level, softness=0.15)
