# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A virtual patient's heart, and how it beats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Beat", "Heart", "beat_at"]


class Heart(NamedTuple):
    """What stays the same in all views of one patient.

    Attributes:
        wall: thickness of the left ventricular wall at end-diastole in cm (adults: 0.6 to 1.1).
        ventricle: width of the left ventricle relative to an average one.
        right: size of the right heart relative to an average one.
        atrium: size of the left atrium relative to an average one.
        ejection: share of its width that the left ventricle loses in systole.
        blood: echogenicity of blood in dB relative to myocardium.
        tissue: echogenicity of what surrounds the heart in dB relative to myocardium.
    """

    wall: float = 0.9
    ventricle: float = 1.0
    right: float = 1.0
    atrium: float = 1.0
    ejection: float = 0.3
    blood: float = -34.0
    tissue: float = -12.0


class Beat(NamedTuple):
    """The state of the heart at one moment.

    Attributes:
        contraction: 0 at end-diastole, 1 at end-systole.
        mitral: opening of the mitral and tricuspid valves, 0 closed to 1 wide open.
        aortic: opening of the aortic valve, 0 closed to 1 wide open.
    """

    contraction: float
    mitral: float
    aortic: float


def beat_at(phase: float) -> Beat:
    """The state of the heart at a phase of its cycle.

    Args:
        phase: time in cycles, any number; whole numbers are end-diastole (the R peak of the ECG).

    Returns:
        Contraction and the opening of the valves: the ventricles contract during the first 35 % of the cycle with the
        aortic valve open, then fill early (E wave) and again before the next beat (A wave) through the open mitral and
        tricuspid valves.

    Example:
        >>> from monai_debias.demo.echo.heart import beat_at
        >>> beat_at(0.0).contraction, round(beat_at(0.35).contraction, 2)
        (0.0, 1.0)
    """
    t = phase % 1.0
    contraction = np.sin(0.5 * np.pi * t / 0.35) ** 2 if t < 0.35 else max(0.0, 1.0 - (t - 0.35) / 0.4) ** 1.5
    mitral = max(_bump(t, 0.55, 0.14), 0.35 * _bump(t, 0.7, 0.2), 0.75 * _bump(t, 0.9, 0.1))
    return Beat(float(contraction), mitral, _bump(t, 0.2, 0.16))


def _bump(t: float, centre: float, half: float) -> float:
    """A smooth bump of height 1 around ``centre``."""
    d = abs(t - centre) / half
    return float(np.cos(0.5 * np.pi * d) ** 2) if d < 1 else 0.0
