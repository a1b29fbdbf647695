# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the ultrasound sector lies on the display, and how the samples along the beams are mapped to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_debias.demo.echo.canvas import Field

__all__ = ["AXIAL", "LINES", "ScanConverter", "Sector"]

AXIAL, LINES = 208, 120  # samples along a beam, beams


class Sector(NamedTuple):
    """Where the sector lies on the display.

    Attributes:
        rows: height of the picture in pixels.
        columns: width of the picture in pixels.
        apex_row: row of the point where all beams meet.
        apex_column: column of that point.
        radius: distance from that point to the deepest sample in pixels.
        half_angle: angle between the middle and the outermost beam in degrees.
        start: distance from that point to the probe's surface in pixels.
    """

    rows: int = 240
    columns: int = 320
    apex_row: float = 18.0
    apex_column: float = 160.0
    radius: float = 185.0
    half_angle: float = 42.0
    start: float = 6.0


class ScanConverter:
    """Bilinear map from the polar grid to the display of one sector geometry, computed once.

    Args:
        sector: where the sector lies on the display.

    Attributes:
        mask: the true sector, (rows, columns), uint8, 1 inside.

    Raises:
        ValueError: when the sector reaches beyond the picture.

    Example:
        >>> from monai_debias.demo.echo.sector import ScanConverter, Sector
        >>> converter = ScanConverter(Sector())
        >>> converter.mask.shape, int(converter.mask[100, 160]), int(converter.mask[20, 20])
        ((240, 320), 1, 0)
    """

    def __init__(self, sector: Sector) -> None:
        half = np.radians(sector.half_angle)
        reach = sector.radius * np.sin(half)
        sides = sector.apex_column - reach, sector.columns - 1 - sector.apex_column - reach
        if min(*sides, sector.apex_row, sector.rows - 1 - sector.apex_row - sector.radius) < 0:
            raise ValueError(
                f"the sector reaches beyond the picture of {sector.rows} x {sector.columns} pixels: {sector}; reduce "
                "its radius or half_angle, or move its apex."
            )
        self.sector = sector
        row, column = np.mgrid[: sector.rows, : sector.columns].astype(np.float64)
        down, right = row - sector.apex_row, column - sector.apex_column
        radius, angle = np.hypot(down, right), np.arctan2(right, down)
        inside = (radius >= sector.start) & (radius <= sector.radius) & (np.abs(angle) <= half)
        self.mask: NDArray[np.uint8] = inside.astype(np.uint8)
        i = (radius[inside] - sector.start) / (sector.radius - sector.start) * (AXIAL - 1)
        j = (angle[inside] + half) / (2 * half) * (LINES - 1)
        i0, j0 = np.minimum(i.astype(int), AXIAL - 2), np.minimum(j.astype(int), LINES - 2)
        di, dj = i - i0, j - j0
        self._inside = np.flatnonzero(inside)
        self._corners = [i0 * LINES + j0 + k for k in (0, 1, LINES, LINES + 1)]
        weights = ((1 - di) * (1 - dj), (1 - di) * dj, di * (1 - dj), di * dj)
        self._weights = [w.astype(np.float32) for w in weights]

    def grid(self, depth: float) -> tuple[Field, Field]:
        """Polar samples' positions in cm, right of and below the middle of the probe: two (axial, lines) arrays."""
        half = np.radians(self.sector.half_angle)
        scale = depth / (self.sector.radius - self.sector.start)
        radius = np.linspace(self.sector.start, self.sector.radius, AXIAL, dtype=np.float32)[:, None] * np.float32(
            scale
        )
        angle = np.linspace(-half, half, LINES, dtype=np.float32)[None]
        return radius * np.sin(angle), radius * np.cos(angle) - np.float32(self.sector.start * scale)

    def __call__(self, polar: Field) -> NDArray[np.uint8]:
        """(axial, lines) grey values in [0, 255] to the (rows, columns) picture, black outside the sector."""
        flat = polar.ravel()
        values = sum(w * flat[c] for w, c in zip(self._weights, self._corners, strict=True))
        picture = np.zeros(self.mask.size, np.uint8)
        picture[self._inside] = values + np.float32(0.5)
        return picture.reshape(self.mask.shape)
