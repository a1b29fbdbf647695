# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""When a heart beats, and which beats come from a ventricle.

The sinus rhythm follows the breath and a slower wave of the blood pressure, as in McSharry et al., "A dynamical model
for generating synthetic electrocardiogram signals", IEEE Trans. Biomed. Eng. 50:289–294 (2003): two bands, at 0.25 and
0.1 Hz. Intervals of fibrillating atria are independent of each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_debias.demo.ecg.findings import Findings

__all__ = ["Beats", "draw_beats"]

BREATH = 0.25  # Hz
_PRESSURE = 0.1  # Hz
_RATES = {  # beats a minute, by the definitions of the labels
    "sinus rhythm": (60, 100),
    "atrial fibrillation": (60, 130),
    "bradycardia": (42, 60),
    "tachycardia": (100, 135),
}
_SHORTEST = 0.33  # s, what the atrioventricular node lets through
_PREMATURE_SHARE = 0.15  # of the beats
_EARLY_ATRIA = 0.15  # share of the records with an early beat from the atria, which no label names


class Beats(NamedTuple):
    """The beats that a record shows, and one before and after it."""

    times: NDArray[np.float64]
    """Seconds from the start of the record to the R peak, (beats,), rising."""
    intervals: NDArray[np.float64]
    """Seconds from each beat to the one that its T wave has to come before, (beats,)."""
    premature: NDArray[np.bool_]
    """Which beats come from a ventricle, (beats,)."""


def draw_beats(findings: Findings, duration: float, rng: np.random.Generator) -> Beats:
    """Draw the beats of a record.

    A premature beat comes after 50 to 68 % of the interval that it falls into; the beat that it suppresses is left out,
    so that the pause after it makes up for it. There is one at least.

    Args:
        findings: rhythm and premature beats.
        duration: seconds.
        rng: source of randomness.
    """
    mean = 60 / rng.uniform(*_RATES[findings.rhythm])
    start = rng.uniform(-mean, 0)
    n = int((duration + 3 * mean) / (0.7 * mean)) + 4
    if findings.rhythm == "atrial fibrillation":
        spread = rng.uniform(0.08, 0.24)
        steps = np.maximum(_SHORTEST, mean * rng.gamma(spread**-2, spread**2, n))
    else:
        t, phases = start + mean * np.arange(n), rng.uniform(0, 2 * np.pi, 2)
        swing = rng.uniform(0.01, 0.08) * np.sin(2 * np.pi * BREATH * t + phases[0])
        swing += rng.uniform(0.005, 0.02) * np.sin(2 * np.pi * _PRESSURE * t + phases[1])
        steps = mean * (1 + swing + rng.normal(0, 0.008, n))
        if rng.random() < _EARLY_ATRIA:
            early = rng.integers(2, n // 2)
            steps[early : early + 2] *= rng.uniform(0.65, 0.8), rng.uniform(1.1, 1.25)
    times = start + np.concatenate([[0.0], np.cumsum(steps)])
    times = times[: np.searchsorted(times, duration) + 2]
    premature = _draw_premature(times, duration, rng) if findings.premature else np.zeros(len(times), bool)
    early = times.copy()
    early[premature] -= (rng.uniform(0.32, 0.5, len(times)) * np.diff(times, prepend=times[0] - mean))[premature]
    intervals = np.diff(early, append=early[-1] + mean)
    return Beats(early, intervals, premature)


def _draw_premature(times: NDArray[np.float64], duration: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Beats that a ventricle anticipates, never two in a row, and at least one that the record shows whole."""
    chosen = rng.random(len(times)) < _PREMATURE_SHARE
    chosen[1:] &= ~chosen[:-1]
    inside = np.flatnonzero((times > 1.5) & (times < duration - 1.5))
    if not chosen[inside].any():
        sure = rng.choice(inside)
        chosen[[sure - 1, sure + 1]], chosen[sure] = False, True
    return chosen
