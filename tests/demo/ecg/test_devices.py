# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each habit of a device does what its table says, and leaves what is valid alone where it should."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.demo.ecg.devices import HABITS, VARIANTS, record

RATE, SOURCE = 500, [0, 1, 2]
T = np.arange(10 * RATE) / RATE
LEADS = np.sin(2 * np.pi * 7 * T) * np.linspace(0.2, 1.2, 12)[:, None] + 0.3 * np.sin(2 * np.pi * 80 * T)
OUTSIDE = ("calibration_pulse", "lead_off", "padding")


def recorded(**wanted):
    return record(LEADS, RATE, wanted, "usual", SOURCE)


def power(signal, rate, frequency):
    """Amplitude at a frequency, of each lead."""
    t = np.arange(signal.shape[1]) / rate
    return 2 * np.abs((signal * np.exp(-2j * np.pi * frequency * t)).mean(1))


@pytest.mark.parametrize("name", OUTSIDE)
def test_devices_leave_the_same_places_empty_and_the_heart_alone(name):
    plain = recorded()
    assert plain.valid.all()
    one, other, third = (recorded(**{name: variant}) for variant in VARIANTS)
    assert 0.7 < one.valid.mean() < 1
    for changed in (other, third):
        np.testing.assert_array_equal(changed.valid, one.valid)
        np.testing.assert_array_equal(changed.signal[:, one.valid], one.signal[:, one.valid])
        assert not np.array_equal(changed.signal, one.signal)
    np.testing.assert_array_equal(one.signal[:, one.valid], plain.signal[:, one.valid])


def test_calibration_pulse():
    pulse = recorded(calibration_pulse="telling").signal[:, : round(0.6 * RATE)]
    np.testing.assert_allclose(pulse.max(1), 1.0)
    np.testing.assert_allclose((pulse > 0.5).sum(1) / RATE, 0.2)
    assert not recorded(calibration_pulse="usual").signal[:, : round(0.6 * RATE)].any()


def test_padding():
    zeros, last = (recorded(padding=variant) for variant in ("usual", "telling"))
    start = int(zeros.valid.sum())
    assert not zeros.signal[:, start:].any()
    np.testing.assert_array_equal(last.signal[:, start:], last.signal[:, start - 1 : start].repeat(5000 - start, 1))


def test_lead_off_is_in_one_chest_lead():
    flat, rail = (recorded(lead_off=variant) for variant in ("usual", "telling"))
    lost = (flat.signal != recorded().signal).any(1)
    assert lost.sum() == 1
    assert lost[6:].any()
    np.testing.assert_allclose(rail.signal[lost][0, ~rail.valid], 3.2)


def test_mains_hum():
    np.testing.assert_array_less(0.02, power(recorded(mains_hum="telling").signal, RATE, 50))
    np.testing.assert_array_less(power(recorded(mains_hum="usual").signal, RATE, 50), 0.001)
    np.testing.assert_array_less(0.009, power(recorded(mains_hum="external").signal, RATE, 60))


def test_filter_takes_the_high_frequencies():
    sharp, blunt = (power(recorded(filter=variant).signal, RATE, 80) for variant in ("usual", "telling"))
    np.testing.assert_array_less(0.25, sharp)
    np.testing.assert_array_less(blunt, 0.05)
    np.testing.assert_allclose(power(recorded(filter="telling").signal, RATE, 7), np.linspace(0.2, 1.2, 12), rtol=0.02)


def test_sampling_rate():
    for variant, rate in zip(VARIANTS, (500, 250, 1000), strict=True):
        changed = recorded(sampling_rate=variant)
        assert (changed.rate, changed.signal.shape, changed.valid.shape) == (rate, (12, 10 * rate), (10 * rate,))
        np.testing.assert_allclose(power(changed.signal, rate, 7), np.linspace(0.2, 1.2, 12), rtol=0.02)


def test_gain_step_rounds():
    for variant, step in zip(VARIANTS, (0.0025, 0.02, 0.005), strict=True):
        changed = recorded(gain_step=variant)
        assert changed.step == step
        np.testing.assert_allclose(changed.signal / step, np.round(changed.signal / step), atol=1e-6)


def test_all_habits_at_once():
    changed = record(LEADS, RATE, dict.fromkeys(HABITS, "telling"), "usual", SOURCE)
    assert changed.signal.shape == (12, 2500)
    runs = np.flatnonzero(np.diff(changed.valid, prepend=False, append=False)).reshape(-1, 2)
    assert len(runs) == 2  # before and after the lead that was off
    assert runs[0, 0] == round(0.6 * 250)
