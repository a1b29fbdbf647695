# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the heart's dipole does in a beat: a sum of Gaussian waves, each with a direction in space.

The waves and their places in a beat follow McSharry et al., "A dynamical model for generating synthetic
electrocardiogram signals", IEEE Trans. Biomed. Eng. 50:289–294 (2003), table I: P 0.2 s before R, Q and S 0.05 s or
less to both sides, T 0.3 s after it, which moves with the square root of the RR interval. That each wave is a vector is
from Sameni et al., "Multichannel ECG and noise modeling", EURASIP J. Adv. Signal Process. 2007:43407. Widths and
vectors are ours: chosen so that durations, axes and amplitudes lie within the limits of normal ECGs, and of the
criteria for each finding (Surawicz et al. for bundle branch blocks, Thygesen et al. for ST segments). The tests measure
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATRIA", "PREMATURE", "QRS", "ST", "T_CHANGES", "T_WAVES", "Segment", "Wave", "add_segment", "add_waves"]


class Wave(NamedTuple):
    """A Gaussian wave of the dipole.

    Attributes:
        time: milliseconds from the R peak to the top of the wave.
        rise: standard deviation before the top, in milliseconds.
        fall: the same after it.
        vector: mV along the Frank axes: to the left, to the feet, to the back.
    """

    time: float
    rise: float
    fall: float
    vector: tuple[float, float, float]


class Segment(NamedTuple):
    """A constant dipole from the end of the QRS to the T wave: what injured muscle adds.

    Attributes:
        start: milliseconds from the R peak.
        vector: mV, as for a wave.
    """

    start: float
    vector: tuple[float, float, float]


ATRIA = (Wave(-172, 17, 20, (0.030, 0.070, -0.035)), Wave(-145, 20, 18, (0.050, 0.050, 0.035)))
"""The right atrium, then the left one: the P wave."""

QRS = {
    "normal conduction": (
        Wave(-24, 8, 8, (-0.10, -0.04, -0.16)),  # septum, from left to right
        Wave(0, 11, 11, (1.00, 0.72, 0.30)),
        Wave(15, 11, 12, (0.30, 0.15, 0.72)),
        Wave(36, 10, 10, (-0.16, -0.05, 0.14)),  # base
    ),
    "left bundle branch block": (  # no septal wave; the left ventricle late, slowly, in two bumps
        Wave(-24, 15, 18, (0.30, 0.18, 0.30)),
        Wave(16, 21, 20, (0.58, 0.26, 0.80)),
        Wave(60, 19, 20, (0.72, 0.14, 0.52)),
    ),
    "right bundle branch block": (  # as normal, then the right ventricle alone: to the right and to the front
        Wave(-24, 8, 8, (-0.10, -0.04, -0.16)),
        Wave(0, 11, 11, (1.00, 0.72, 0.30)),
        Wave(15, 11, 12, (0.30, 0.15, 0.60)),
        Wave(62, 17, 21, (-0.50, -0.05, -0.70)),
    ),
}
"""The ventricles, by conduction."""

T_WAVES = {
    "normal conduction": Wave(285, 58, 34, (0.26, 0.20, -0.16)),
    "left bundle branch block": Wave(320, 68, 38, (-0.32, -0.10, -0.40)),  # against the QRS
    "right bundle branch block": Wave(300, 58, 34, (0.28, 0.20, -0.02)),
}
"""Their recovery, by conduction, at an RR interval of 0.8 s."""

ST = {
    "anterior ST elevation": (0.10, -0.03, -0.28),
    "inferior ST elevation": (-0.08, 0.26, 0.03),
    "ST depression": (-0.15, -0.11, 0.06),
}
"""Vector of injured muscle in mV, by finding."""

T_CHANGES = {
    "anterior ST elevation": (0.05, 0.0, -0.22),
    "inferior ST elevation": (-0.06, 0.16, 0.0),
    "ST depression": (-0.20, -0.12, 0.08),
}
"""What the T wave gains, in mV, by finding."""

PREMATURE = (
    Wave(-36, 21, 24, (0.50, 0.50, 0.50)),
    Wave(14, 25, 26, (1.25, 1.25, 1.25)),
    Wave(62, 22, 24, (0.45, 0.45, 0.45)),
    Wave(300, 68, 45, (-0.45, -0.45, -0.45)),
)
"""A premature ventricular beat, to be multiplied by the direction that its focus gives it."""


def add_waves(
    dipole: NDArray[np.float64],
    waves: Iterable[Wave],
    beats: NDArray[np.float64],
    stretch: NDArray[np.float64],
    rate: float,
) -> None:
    """Add waves to a dipole, in every beat.

    Args:
        dipole: changed in place, mV, (samples, 3).
        waves: what is added.
        beats: times of the R peaks in seconds, (beats,).
        stretch: by how much the waves of a beat are later and wider than usual, (beats,).
        rate: samples a second.
    """
    for beat, factor in zip(beats, stretch, strict=True):
        for time, rise, fall, vector in waves:
            top, before, after = beat + time * factor / 1000, rise * factor / 1000, fall * factor / 1000
            first, last = round((top - 5 * before) * rate), round((top + 5 * after) * rate)
            first, last = max(first, 0), min(last, len(dipole))
            if first >= last:
                continue
            t = np.arange(first, last) / rate - top
            dipole[first:last] += np.exp(-0.5 * (t / np.where(t < 0, before, after)) ** 2)[:, None] * vector


def add_segment(
    dipole: NDArray[np.float64], segment: Segment, beats: NDArray[np.float64], ends: NDArray[np.float64], rate: float
) -> None:
    """Add an ST segment to a dipole, in every beat: it comes within 20 ms, and fades over 100 ms.

    Args:
        dipole: changed in place, mV, (samples, 3).
        segment: what is added.
        beats: times of the R peaks in seconds, (beats,).
        ends: seconds from each R peak to the middle of the T wave, (beats,).
        rate: samples a second.
    """
    for beat, end in zip(beats, ends, strict=True):
        start = segment.start / 1000
        first, last = max(round((beat + start - 0.05) * rate), 0), min(round((beat + end + 0.2) * rate), len(dipole))
        if first >= last:
            continue
        t = np.arange(first, last) / rate - beat
        height = 1 / (1 + np.exp(-(t - start) / 0.007)) / (1 + np.exp((t - end) / 0.025))
        dipole[first:last] += height[:, None] * segment.vector
