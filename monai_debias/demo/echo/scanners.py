# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Three fictitious scanners: what they store, where their sectors lie, and where the screen names the view."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monai_debias.demo.echo.sector import Sector

__all__ = ["SCANNERS", "Scanner", "draw_sector"]


class Scanner(NamedTuple):
    """A fictitious scanner.

    Attributes:
        manufacturer: for the DICOM header.
        model: for the DICOM header and the screen.
        colour: whether the pictures are stored in colour (YBR_FULL_422) or grey (MONOCHROME2).
        regions: whether the header has the Sequence of Ultrasound Regions.
        ecg: whether an ECG runs below the sector.
        apex_row, apex_column, radius, half_angle: ranges of the sector's geometry, see :class:`Sector`.
        mark: column and row of the body mark's upper left corner.
        annotation: column and row of the view's name.
        protocol: column and row of the list of protocol steps.
        margin: column of the depth scale.
    """

    manufacturer: str
    model: str
    colour: bool
    regions: bool
    ecg: bool
    apex_row: tuple[float, float]
    apex_column: tuple[float, float]
    radius: tuple[float, float]
    half_angle: tuple[float, float]
    mark: tuple[int, int]
    annotation: tuple[int, int]
    protocol: tuple[int, int]
    margin: int


SCANNERS = (
    Scanner(
        manufacturer="FICTITIOUS Alder",
        model="Alder 20",
        colour=True,
        regions=True,
        ecg=False,
        apex_row=(20, 24),
        apex_column=(152, 162),
        radius=(176, 186),
        half_angle=(37, 43),
        mark=(3, 52),
        annotation=(4, 28),
        protocol=(234, 12),
        margin=297,
    ),
    Scanner(
        manufacturer="FICTITIOUS Birch",
        model="Birch E4",
        colour=False,
        regions=True,
        ecg=True,
        apex_row=(9, 13),
        apex_column=(156, 170),
        radius=(182, 190),
        half_angle=(36, 42),
        mark=(264, 6),
        annotation=(262, 64),
        protocol=(27, 14),
        margin=18,
    ),
    Scanner(
        manufacturer="FICTITIOUS Cedar",
        model="Cedar One",
        colour=True,
        regions=False,
        ecg=False,
        apex_row=(22, 28),
        apex_column=(166, 176),
        radius=(172, 180),
        half_angle=(38, 45),
        mark=(246, 22),
        annotation=(4, 208),
        protocol=(4, 42),
        margin=313,
    ),
)


def draw_sector(scanner: Scanner, rng: np.random.Generator) -> Sector:
    """Draw a sector within a scanner's ranges, on a picture of 240 x 320 pixels."""
    return Sector(
        apex_row=rng.uniform(*scanner.apex_row),
        apex_column=rng.uniform(*scanner.apex_column),
        radius=rng.uniform(*scanner.radius),
        half_angle=rng.uniform(*scanner.half_angle),
    )
