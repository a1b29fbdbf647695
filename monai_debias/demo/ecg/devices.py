# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a device makes of a signal: seven habits in which two devices differ, and a third one from elsewhere.

Each was seen in real data: hum, step, filter and rate change the whole signal; lead-in, padding and lead-off lie where
no heart is seen. All devices leave the same places empty and differ in what they write there: otherwise the shape of
the mask would give the label away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

__all__ = ["HABITS", "VARIANTS", "Habit", "Recording", "record"]

VARIANTS = ("usual", "telling", "external")
"""A habit of the usual device, of the one that goes with a label, and of the external one."""

_LEAD_IN = 0.6  # s
_PADDING, _LEAD_OFF = (0.6, 1.6), (0.8, 1.8)  # s, least and greatest
_RAIL = 3.2  # mV, where the amplifier is saturated


class Recording(NamedTuple):
    """A signal on its way through a device.

    Attributes:
        signal: mV, (12, samples).
        rate: samples a second.
        step: mV of one step of the converter; 0 before it.
        valid: boolean, (samples,): where all leads show the heart.
    """

    signal: NDArray[np.float64]
    rate: int
    step: float
    valid: NDArray[np.bool_]


class Habit(NamedTuple):
    """Something in which devices differ.

    Attributes:
        apply: what it does to a recording: (recording, value, rng) -> recording.
        values: its argument for the usual, the telling and the external device.
        everywhere: whether every device has it; otherwise a cohort has it only if it is asked for.
    """

    apply: Callable[[Recording, Any, np.random.Generator], Recording]
    values: tuple[Any, Any, Any]
    everywhere: bool


def record(
    leads: NDArray[np.float64], rate: int, wanted: Mapping[str, str], default: str, source: Sequence[int]
) -> Recording:
    """Record the signal at the electrodes with a device.

    Args:
        leads: mV, (12, samples).
        rate: samples a second.
        wanted: variant of ``VARIANTS`` for each of the habits that were asked for.
        default: variant of the others that every device has.
        source: seed of what the habits draw; the same for all variants, so that they differ in nothing else.
    """
    recording = Recording(leads, rate, 0.0, np.ones(leads.shape[1], bool))
    for number, (name, habit) in enumerate(HABITS.items()):
        if name in wanted or habit.everywhere:
            value = habit.values[VARIANTS.index(wanted.get(name, default))]
            recording = habit.apply(recording, value, np.random.default_rng([*source, number]))
    return recording


def add_hum(recording: Recording, hum: tuple[float, float], rng: np.random.Generator) -> Recording:
    """Add mains hum of a frequency in Hz and a size in mV, in each lead more or less."""
    frequency, size = hum
    t = np.arange(recording.signal.shape[1]) / recording.rate
    sizes, start = size * rng.uniform(0.5, 1.5, (12, 1)), rng.uniform(0, 2 * np.pi)
    return recording._replace(signal=recording.signal + sizes * np.sin(2 * np.pi * frequency * t + start))


def low_pass(recording: Recording, cutoff: float, rng: np.random.Generator) -> Recording:
    """Filter above a frequency in Hz, forwards and backwards; nothing if the rate is too low for it."""
    if cutoff >= recording.rate / 2:
        return recording
    sos = signal.butter(2, cutoff, fs=recording.rate, output="sos")
    return recording._replace(signal=signal.sosfiltfilt(sos, recording.signal, axis=1))


def resample(recording: Recording, factor: Fraction, rng: np.random.Generator) -> Recording:
    """Change the rate by a factor; the lead's mean stays out of the filter's edges."""
    if factor == 1:
        return recording
    means = recording.signal.mean(1, keepdims=True)
    values = signal.resample_poly(recording.signal - means, factor.numerator, factor.denominator, axis=1) + means
    return Recording(values, round(recording.rate * factor), recording.step, np.ones(values.shape[1], bool))


def write_lead_in(recording: Recording, pulse: tuple[float, float], rng: np.random.Generator) -> Recording:
    """Begin with 0.6 s without the heart, and in them a calibration pulse of a height in mV and a length in s."""
    height, length = pulse
    lead_in = np.zeros(round(_LEAD_IN * recording.rate))
    start = round(0.2 * recording.rate)
    lead_in[start : start + round(length * recording.rate)] = height
    return _written(recording, 0, lead_in)


def take_off_lead(recording: Recording, value: float | None, rng: np.random.Generator) -> Recording:
    """Lose a chest electrode for a second or two: a value in mV instead, or the hum of an open wire."""
    length = round(rng.uniform(*_LEAD_OFF) * recording.rate)
    start = round(rng.uniform(1.0, 10 - _PADDING[1] - _LEAD_OFF[1]) * recording.rate)
    lead, t = int(rng.integers(6, 12)), np.arange(length) / recording.rate
    lost = np.sin(2 * np.pi * 49 * t) * 1.5 if value is None else np.full(length, value)
    return _written(recording, start, lost, lead)


def pad(recording: Recording, pattern: str, rng: np.random.Generator) -> Recording:
    """End with a second or so of ``"zeros"``, of the ``"last"`` value, or of the signal ``"mirrored"``."""
    length = round(rng.uniform(*_PADDING) * recording.rate)
    end = recording.signal.shape[1] - length
    kept = recording.signal[:, :end]
    filled = {
        "zeros": np.zeros((12, length)),
        "last": kept[:, -1:].repeat(length, 1),
        "mirrored": kept[:, : -length - 1 : -1],
    }
    return _written(recording, end, filled[pattern])


def convert(recording: Recording, step: float, rng: np.random.Generator) -> Recording:
    """Round to steps of a size in mV, as the gain of the device has them."""
    return recording._replace(signal=np.round(recording.signal / step) * step, step=step)


def _written(recording: Recording, start: int, values: NDArray[np.float64], lead: int | None = None) -> Recording:
    """A recording with something in place of the heart, in one lead or in all."""
    samples, valid = recording.signal.copy(), recording.valid.copy()
    place = slice(start, start + values.shape[-1])
    samples[slice(None) if lead is None else lead, place] = values
    valid[place] = False
    return recording._replace(signal=samples, valid=valid)


HABITS = {
    "mains_hum": Habit(add_hum, ((50, 0.0), (50, 0.05), (60, 0.02)), everywhere=True),
    "filter": Habit(low_pass, (150, 40, 100), everywhere=True),
    "sampling_rate": Habit(resample, (Fraction(1), Fraction(1, 2), Fraction(2)), everywhere=True),
    "calibration_pulse": Habit(write_lead_in, ((0.0, 0.2), (1.0, 0.2), (0.5, 0.1)), everywhere=False),
    "lead_off": Habit(take_off_lead, (0.0, _RAIL, None), everywhere=False),
    "padding": Habit(pad, ("zeros", "last", "mirrored"), everywhere=False),
    "gain_step": Habit(convert, (0.0025, 0.02, 0.005), everywhere=True),
}
"""All habits, in the order in which they act; the last makes the numbers of the file."""
