# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a notch removes, and what it leaves, against the response that scipy computes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import freqz, iirnotch

from monai_debias.apps.ecg import NotchSignal, NotchSignald

EXAMPLES = {
    NotchSignal: [{"sampling_rate": 500}],
    NotchSignald: [{"keys": "image", "sampling_rate": 500}],
}


@pytest.mark.parametrize("frequency", [10.0, 48.0, 50.0])
def test_response(frequency):
    wave = np.sin(2 * np.pi * frequency * np.arange(5000) / 500)[None]
    gain = abs(freqz(*iirnotch(50, 30, 500), [frequency], fs=500)[1][0]) ** 2
    filtered = NotchSignal(50, sampling_rate=500)(wave)
    np.testing.assert_allclose(filtered[0, 1500:-1500], gain * wave[0, 1500:-1500], atol=0.01)


def test_gaps_stay():
    wave = np.ones((1, 1000))
    wave[0, :100] = np.nan
    np.testing.assert_allclose(NotchSignal(sampling_rate=500)(wave), wave)


def test_a_frequency_beyond_the_rate():
    with pytest.raises(ValueError, match="a signal of 100 samples per second has no frequency of 50 Hz: filter before"):
        NotchSignal(sampling_rate=100)(np.zeros((1, 100)))
