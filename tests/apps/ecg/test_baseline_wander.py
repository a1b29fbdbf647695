# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The size and the frequencies of drifts."""

from __future__ import annotations

import numpy as np

from monai_debias.apps.ecg import RandBaselineWander, RandBaselineWanderd

EXAMPLES = {
    RandBaselineWander: [{"prob": 0.7, "sampling_rate": 500}],
    RandBaselineWanderd: [{"keys": "image", "prob": 0.7, "sampling_rate": 500}],
}


def test_drifts_are_slow_and_differ_between_leads():
    wander = RandBaselineWander(1.0, (0.2, 0.2), (0.1, 0.4), sampling_rate=50).set_random_state(0)
    drifts = np.concatenate([wander(np.zeros((3, 5000))) for _ in range(20)])
    assert abs(drifts).max() <= 0.2
    assert abs(drifts).max(axis=1).min() > 0.01
    power, frequencies = abs(np.fft.rfft(drifts * np.hanning(5000))) ** 2, np.fft.rfftfreq(5000, 1 / 50)
    inside = (frequencies > 0.08) & (frequencies < 0.42)
    assert power[:, inside].sum() > 0.999 * power.sum()
    assert abs(np.corrcoef(drifts[:3])[np.triu_indices(3, 1)]).max() < 0.99


def test_gaps_stay():
    signal = np.zeros((1, 100))
    signal[0, 10:20] = np.nan
    assert np.isnan(RandBaselineWander(1.0, sampling_rate=50)(signal)).sum() == 10
