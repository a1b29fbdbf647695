# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The dipole of a patient's heart through a record: its beats, its waves, its findings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from monai_debias.demo.ecg.findings import Findings
from monai_debias.demo.ecg.patients import Patient
from monai_debias.demo.ecg.rhythm import Beats, draw_beats
from monai_debias.demo.ecg.waves import ST, T_CHANGES, Segment, Wave, add_segment, add_waves

__all__ = ["heart_dipole"]

_USUAL = 0.8  # s, the RR interval of the table of T waves
_LEVEL = 0.04  # mV, how much an ST segment that counts as level still differs from zero
_INCOMPLETE = 0.25  # share of the hearts with a trace of a right bundle branch block, which no label names
_FIBRILLATION = np.array([0.010, 0.022, -0.030])  # mV, the atria seen from V1 and the inferior leads


def heart_dipole(
    patient: Patient, findings: Findings, duration: float, rate: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Beats]:
    """Make the dipole of one record.

    Args:
        patient: whose heart it is.
        findings: what is wrong with it.
        duration: seconds.
        rate: samples a second.
        rng: source of randomness.

    Returns:
        The dipole in mV along the Frank axes, (samples, 3), and the beats.
    """
    beats = draw_beats(findings, duration, rng)
    dipole = np.zeros((round(duration * rate), 3))
    own, usual = beats.times[~beats.premature], np.ones(len(beats.times))
    recovery = np.sqrt(np.minimum(beats.intervals, 1.2) / _USUAL)  # McSharry et al. 2003, after Bazett
    if findings.rhythm == "atrial fibrillation":
        dipole += _fibrillation(len(dipole), rate, rng)
    else:
        add_waves(dipole, _atria(patient, findings, beats, rng), own, usual[: len(own)], rate)
    qrs, t_waves, injury = _ventricles(patient, findings, rng)
    add_waves(dipole, qrs, own, usual[: len(own)], rate)
    add_waves(dipole, t_waves, own, recovery[~beats.premature], rate)
    add_segment(dipole, injury, own, recovery[~beats.premature] * t_waves[0].time / 1000, rate)
    foreign = _scaled(patient.premature, rng.uniform(0.5, 1.0))
    add_waves(dipole, foreign, beats.times[beats.premature], usual[beats.premature], rate)
    return dipole, beats


def _atria(patient: Patient, findings: Findings, beats: Beats, rng: np.random.Generator) -> list[Wave]:
    """The P wave; in a fast rhythm it is nearer to the R peak, in a first-degree block further away."""
    nearer = 25 * np.clip(1 - np.median(beats.intervals) / _USUAL, 0, 1)
    earlier = rng.uniform(42, 110) if findings.first_degree else rng.uniform(-25, 32)
    return [wave._replace(time=wave.time + nearer - earlier) for wave in patient.atria]


def _ventricles(
    patient: Patient, findings: Findings, rng: np.random.Generator
) -> tuple[list[Wave], list[Wave], Segment]:
    """The QRS, the T wave and the ST segment; a block is more or less complete."""
    block, share = findings.conduction, rng.uniform(0.25, 1.0)
    if block == "normal conduction":
        block, share = "right bundle branch block", rng.uniform(0, 0.2) if rng.random() < _INCOMPLETE else 0.0
    qrs = _scaled(patient.qrs["normal conduction"], 1 - share) + _scaled(patient.qrs[block], share)
    t_waves = _scaled([patient.t_wave["normal conduction"]], 1 - share) + _scaled([patient.t_wave[block]], share)
    vector = rng.normal(0, _LEVEL, 3)
    if findings.st in ST:
        size = rng.uniform(0.2, 1.0)
        vector += size * np.array(ST[findings.st]) * np.exp(rng.normal(0, 0.25, 3))
        t_waves.append(t_waves[0]._replace(vector=tuple(size * np.array(T_CHANGES[findings.st]))))
    last = patient.qrs[findings.conduction][-1]
    return qrs, t_waves, Segment(last.time + 1.2 * last.fall, tuple(vector))


def _scaled(waves: Iterable[Wave], factor: float) -> list[Wave]:
    return [wave._replace(vector=tuple(factor * np.array(wave.vector))) for wave in waves]


def _fibrillation(samples: int, rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Waves of fibrillating atria, after Stridh & Sörnmo, IEEE Trans. Biomed. Eng. 48:105–111 (2001).

    A sawtooth of three harmonics, whose frequency and size both vary slowly.
    """
    t = np.arange(samples) / rate
    starts = rng.uniform(0, 2 * np.pi, 5)
    phase = 2 * np.pi * rng.uniform(5.0, 8.0) * t + rng.uniform(0.5, 1.2) * np.sin(2 * np.pi * 0.6 * t + starts[0])
    wave = sum(np.sin(k * phase + starts[k]) / k for k in (1, 2, 3))
    size = 1 + 0.4 * np.sin(2 * np.pi * 0.23 * t + starts[4])
    return (size * wave)[:, None] * _FIBRILLATION * rng.uniform(0.2, 1.3) * np.exp(rng.normal(0, 0.3, 3))
