# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""One record of a patient at the electrodes, before a device has seen it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from monai_debias.demo.ecg.findings import Findings
from monai_debias.demo.ecg.heart import heart_dipole
from monai_debias.demo.ecg.interference import draw_interference
from monai_debias.demo.ecg.leads import MEASURED, twelve_leads
from monai_debias.demo.ecg.patients import Patient, place_electrodes
from monai_debias.demo.ecg.rhythm import BREATH

__all__ = ["DURATION", "simulate"]

DURATION = 10  # s
_RATE = 500  # samples a second of the simulation


def simulate(patient: Patient, findings: Findings, rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Simulate ten seconds.

    Args:
        patient: whose heart it is.
        findings: what is wrong with it.
        rate: samples a second.
        rng: source of randomness: beats, breath, electrodes, interference.

    Returns:
        mV, (12, 10 · rate), in the order of ``LEADS``.
    """
    dipole, _ = heart_dipole(patient, findings, DURATION, _RATE, rng)
    t = np.arange(len(dipole)) / _RATE
    breath = 1 + rng.uniform(0.01, 0.06) * np.sin(2 * np.pi * BREATH * t + rng.uniform(0, 2 * np.pi))
    measured = place_electrodes(patient, rng) @ (dipole * breath[:, None]).T
    leads = twelve_leads(measured + draw_interference(len(MEASURED), len(dipole), _RATE, rng))
    if rate == _RATE:
        return leads
    factor = Fraction(rate, _RATE)
    means = leads.mean(1, keepdims=True)
    return signal.resample_poly(leads - means, factor.numerator, factor.denominator, axis=1) + means
