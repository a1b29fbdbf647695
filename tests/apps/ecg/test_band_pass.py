# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Filtered sines against the response that scipy computes, and signals that a band does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfreqz

from monai_debias.apps.ecg import BandPassSignal, BandPassSignald

EXAMPLES = {
    BandPassSignal: [{"sampling_rate": 500}, {"low": None, "high": 20, "sampling_rate": 500}],
    BandPassSignald: [
        {"keys": "image", "sampling_rate": 500},
        {"keys": "image", "low": None, "high": 20, "sampling_rate": 500},
    ],
}
RATE = 250


@pytest.mark.parametrize(("low", "high"), [(0.5, 40.0), (None, 40.0), (0.5, None), (5.0, 15.0)])
@pytest.mark.parametrize("frequency", [1.0, 10.0, 60.0])
def test_response(low, high, frequency):
    times = np.arange(20 * RATE) / RATE
    wave = np.sin(2 * np.pi * frequency * times)[None]
    filtered = BandPassSignal(low, high, sampling_rate=RATE)(wave)
    kind, ends = ("bandpass", [low, high]) if low and high else ("highpass", low) if low else ("lowpass", high)
    response = sosfreqz(butter(2, ends, kind, fs=RATE, output="sos"), [frequency], fs=RATE)
    gain = abs(response[1][0]) ** 2  # forwards and backwards
    middle = slice(5 * RATE, -5 * RATE)
    np.testing.assert_allclose(filtered[0, middle], gain * wave[0, middle], atol=0.01)  # and no shift


def test_gaps_stay_and_do_not_spread():
    wave = np.sin(2 * np.pi * 10 * np.arange(2500) / RATE)[None].repeat(2, 0)
    wave[0, 1000:1100] = np.nan
    wave[1] = np.nan
    filtered = BandPassSignal(sampling_rate=RATE)(wave)
    np.testing.assert_array_equal(np.isnan(filtered), np.isnan(wave))


def test_a_band_beyond_the_rate_and_no_band():
    with pytest.raises(ValueError, match="a signal of 80 samples per second has no frequencies of 40 Hz: choose"):
        BandPassSignal(sampling_rate=80)(np.zeros((1, 100)))
    for low, high in ((40, 0.5), (5, 5), (None, None)):
        with pytest.raises(ValueError, match="is empty, expected low < high"):
            BandPassSignal(low, high)
    assert BandPassSignal(sampling_rate=RATE)(np.ones((1, 3))).shape == (1, 3)
