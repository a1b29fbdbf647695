# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the transforms of an ECG, on lead II of a record of the demo cohort."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from monai_debias.apps import ecg
from monai_debias.demo.ecg.findings import Findings
from monai_debias.demo.ecg.one_record import simulate
from monai_debias.demo.ecg.patients import draw_patient

RATE, LEAD = 500, 1


@cache
def record() -> np.ndarray:
    """Ten seconds of twelve leads in mV, (12, 5000)."""
    rng = np.random.default_rng(7)
    return simulate(draw_patient(rng), Findings(premature=True), RATE, rng).astype(np.float32)


def noisy(amplitude: float = 0.15, frequency: float = 50.0, drift: float = 0.4) -> np.ndarray:
    """The record with a hum and a drift."""
    t = np.arange(record().shape[1]) / RATE
    return record() + amplitude * np.sin(2 * np.pi * frequency * t) + drift * np.sin(2 * np.pi * 0.2 * t)


def before_and_after(change: Callable[[Any], Any], signal: np.ndarray, lead: int = LEAD, rate: float = RATE) -> Figure:
    """A lead before and after a transform; the second may have another rate and length."""
    changed = np.asarray(change(signal))
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(np.arange(signal.shape[1]) / RATE, signal[lead], color="black", linewidth=0.7)
    lower.plot(np.arange(changed.shape[1]) / rate, changed[lead], color="tab:blue", linewidth=0.7)
    for axes, title in ((upper, "before"), (lower, "after")):
        axes.set_ylabel(title, fontsize=8)
        axes.tick_params(labelsize=7)
    lower.set_xlabel("seconds", fontsize=8)
    return figure


def random(kind: str, **options: Any) -> Callable[[Any], Any]:
    """A random transform of this name that always acts, with a seed."""
    return getattr(ecg, kind)(prob=1.0, **options).set_random_state(seed=1)


def lost_leads() -> Figure:
    """The twelve leads before and after some are lost."""
    change = random("RandLeadDropout", most=3)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    titled = {"before": record(), "after": np.asarray(change(record()))}
    for axes, (title, leads) in zip(figure.subplots(1, 2), titled.items(), strict=True):
        for row, (name, lead) in enumerate(zip(ecg.STANDARD_LEADS, leads, strict=True)):
            color = "black" if lead.any() else "tab:red"
            axes.plot(np.arange(len(lead)) / RATE, lead - 2 * row, color=color, linewidth=0.5)
            axes.text(-0.9, -2 * row, name, fontsize=6, va="center")
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()
    return figure


def found(change: Callable[[Any], Any], signal: np.ndarray) -> Figure:
    """A lead with the region that a mask marks."""
    mask = np.asarray(change(signal))[0].astype(bool)
    t = np.arange(signal.shape[1]) / RATE
    figure = Figure(figsize=(9, 1.7), layout="constrained")
    axes = figure.subplots()
    axes.plot(t, signal[LEAD], color="black", linewidth=0.7)
    axes.fill_between(t, 0, 1, where=mask, color="tab:orange", alpha=0.3, transform=axes.get_xaxis_transform(), lw=0)
    axes.tick_params(labelsize=7)
    axes.set_xlabel("seconds; the region of interest is shaded", fontsize=8)
    return figure


def with_gaps() -> np.ndarray:
    """The record with a calibration pulse at its start and padding at its end."""
    signal = record().copy()
    signal[:, :500] = 0
    signal[:, 100:300] = 1
    signal[:, 4200:] = 0
    return signal


_AT = {"sampling_rate": RATE}
PICTURES: dict[str, Callable[[], Figure]] = {
    "BandPassSignal": lambda: before_and_after(ecg.BandPassSignal(**_AT), noisy()),
    "NotchSignal": lambda: before_and_after(ecg.NotchSignal(50, **_AT), noisy(drift=0.0)),
    "NormalizeSignal": lambda: before_and_after(ecg.NormalizeSignal(), record() + 2),
    "ResampleSignal": lambda: before_and_after(ecg.ResampleSignal(50, source_rate=RATE), record(), rate=50),
    "FitDuration": lambda: before_and_after(ecg.FitDuration(12, padding="zero", **_AT), record()),
    "RandBaselineWander": lambda: before_and_after(
        random("RandBaselineWander", amplitudes=(0.4, 0.5), **_AT), record()
    ),
    "RandMainsHum": lambda: before_and_after(random("RandMainsHum", amplitudes=(0.1, 0.2), **_AT), record()),
    "RandSignalNoise": lambda: before_and_after(random("RandSignalNoise", std=(0.05, 0.06)), record()),
    "RandSignalGain": lambda: before_and_after(random("RandSignalGain", factors=(0.5, 0.6)), record()),
    "RandLeadDropout": lost_leads,
    "SignalMask": lambda: found(ecg.SignalMask(**_AT), with_gaps()),
    "BeatMask": lambda: found(ecg.BeatMask(**_AT), with_gaps()),
}
