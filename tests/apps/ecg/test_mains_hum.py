# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The frequency and size of the hum."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.apps.ecg import RandMainsHum, RandMainsHumd

EXAMPLES = {
    RandMainsHum: [{"prob": 0.7, "sampling_rate": 500}],
    RandMainsHumd: [{"keys": "image", "prob": 0.7, "sampling_rate": 500}],
}


def test_hum_has_one_of_the_frequencies():
    hum = RandMainsHum(1.0, (0.1, 0.1), sampling_rate=500).set_random_state(0)
    found = set()
    for _ in range(20):
        signal = hum(np.zeros((3, 500)))
        spectrum = abs(np.fft.rfft(signal)) / 250  # amplitudes at whole numbers of Hz
        found.add(int(spectrum[0].argmax()))
        assert ((spectrum.max(axis=1) >= 0.05) & (spectrum.max(axis=1) <= 0.15)).all()
        assert (np.sort(spectrum, axis=1)[:, -2] < 1e-9).all()
    assert found == {50, 60}


def test_a_rate_that_is_too_low():
    with pytest.raises(ValueError, match="a signal of 100 samples per second has no hum of 60 Hz: add it before"):
        RandMainsHum(1.0, sampling_rate=100)(np.zeros((1, 100)))
