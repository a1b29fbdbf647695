# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What an electrode picks up besides the heart: breath, slow drifts, muscles, a little of the mains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from monai_debias.demo.ecg.rhythm import BREATH

__all__ = ["draw_interference"]

_DRIFTS = np.array([0.06, 0.13, BREATH, 0.41])  # Hz
_MUSCLES = (20, 110)  # Hz


def draw_interference(leads: int, samples: int, rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw what the measured leads pick up in one record.

    Args:
        leads: how many are measured.
        samples: length of the record.
        rate: samples a second, above 220.
        rng: source of randomness.

    Returns:
        mV, (leads, samples).
    """
    t = np.arange(samples) / rate
    phases = rng.uniform(0, 2 * np.pi, (leads, len(_DRIFTS), 1))
    sizes = rng.normal(0, 0.05 * np.exp(rng.normal(0, 0.5)), (leads, len(_DRIFTS), 1))
    drift = (sizes * np.sin(2 * np.pi * _DRIFTS[:, None] * t + phases)).sum(1)
    band = signal.butter(2, _MUSCLES, "bandpass", fs=rate, output="sos")
    tension = np.exp(rng.uniform(np.log(0.005), np.log(0.07))) * np.exp(rng.normal(0, 0.4, (leads, 1)))
    muscles = tension * signal.sosfilt(band, rng.standard_normal((leads, samples)))
    mains = rng.uniform(0, 0.005) * rng.normal(1, 0.4, (leads, 1)) * np.sin(2 * np.pi * 50 * t + rng.uniform(0, 6))
    return drift + muscles + mains
