# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Beats of the real record, and records without any."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks

from monai_debias.apps.ecg import BeatMask, BeatMaskd
from monai_debias.data import FileReadWarning
from tests.apps.ecg.records import real_leads

EXAMPLES = {
    BeatMask: [{"sampling_rate": 500}, {"around": [0.1, 0.1], "lead": 0, "sampling_rate": 500}],
    BeatMaskd: [
        {"keys": "image", "sampling_rate": 500},
        {"keys": "image", "around": [0.1, 0.1], "lead": 0, "sampling_rate": 500},
    ],
}
REAL = real_leads()


def test_the_beats_of_the_real_record():
    mask = BeatMask(sampling_rate=500)(REAL)[0].astype(bool)
    peaks, _ = find_peaks(REAL[1], height=0.8, distance=250)  # R waves of lead II, with 982 ms between them
    assert 9 <= len(peaks) <= 11
    steps = np.diff(mask.astype(int), prepend=0)
    begins, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    whole = [peak for peak in peaks if 125 <= peak < 5000 - 226]
    for peak in whole:  # a quarter of a second before the R wave, and 0.45 s after it
        begin, end = begins[begins <= peak].max(), ends[ends >= peak].min()
        assert abs(peak - begin - 125) <= 20
        assert abs(end - peak - 225) <= 20


def test_beats_are_sought_where_the_heart_is_seen():
    signal = REAL.copy()
    signal[:, 2500:] = 0
    mask = BeatMask(sampling_rate=500)(signal)[0]
    assert mask[2501:].max() == 0
    assert mask[:2500].mean() > 0.5


def test_records_without_beats():
    noise = np.random.default_rng(0).normal(0, 0.001, (2, 5000))
    with pytest.warns(FileReadWarning, match="no beat was found in the signal: its mask is all that shows the heart"):
        assert BeatMask(sampling_rate=500)(np.where(np.arange(5000) < 10, noise, np.linspace(0, 1, 5000))).any()
    with pytest.raises(ValueError, match=r"has 1 leads; beats are sought in number 1, from 0"):
        BeatMask(sampling_rate=500)(REAL[:1])
    with pytest.raises(ValueError, match=r"lasts 1 s, too short to find beats; expected 2 s or more"):
        BeatMask(sampling_rate=500)(REAL[:, :500])
