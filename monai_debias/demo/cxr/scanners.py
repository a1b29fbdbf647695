# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Three fictitious scanners: sharpness, dose, grey scale, and how they store a film."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["EXTERNAL_SCANNER", "SCANNERS", "Exposure", "Scanner", "draw_exposure"]


class Scanner(NamedTuple):
    """A fictitious scanner.

    Attributes:
        manufacturer: for the DICOM header.
        model: for the DICOM header.
        photometric: ``"MONOCHROME1"`` or ``"MONOCHROME2"``.
        blur: standard deviation of the detector's point spread in mm.
        sharpen: share of the fine structures that the processing adds.
        flatten: share of the coarse structures that it removes.
        dose: range of the photons per mm² of the open beam.
        gamma: range of the exponent of the grey scale.
    """

    manufacturer: str
    model: str
    photometric: str
    blur: float
    sharpen: float
    flatten: float
    dose: tuple[float, float]
    gamma: tuple[float, float]


class Exposure(NamedTuple):
    """How one film was exposed.

    Attributes:
        dose: photons per mm² of the open beam.
        gamma: exponent of the grey scale.
        thickness: attenuation relative to the patient of the CT: how thick the patient is.
    """

    dose: float
    gamma: float
    thickness: float


SCANNERS = (
    Scanner("FICTITIOUS Alder", "Alder DR", "MONOCHROME2", 0.8, 1.0, 0.6, (25_000, 60_000), (0.9, 1.25)),
    Scanner("FICTITIOUS Birch", "Birch Mobile", "MONOCHROME1", 1.1, 0.7, 0.5, (15_000, 30_000), (0.85, 1.2)),
)
"""Those of training, validation and the three paired tests, drawn independently of the class."""

EXTERNAL_SCANNER = Scanner("FICTITIOUS Cedar", "Cedar CR", "MONOCHROME2", 1.6, 1.5, 0.7, (8_000, 14_000), (0.75, 0.95))
"""That of the external test: blurred, sharpened again, noisy, and bright."""


def draw_exposure(scanner: Scanner, rng: np.random.Generator) -> Exposure:
    """Draw how a film was exposed, independently of the finding; see :class:`Exposure`."""
    return Exposure(
        dose=rng.uniform(*scanner.dose), gamma=rng.uniform(*scanner.gamma), thickness=rng.uniform(0.88, 1.15)
    )
