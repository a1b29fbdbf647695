# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Normalised leads against scipy's z-score."""

from __future__ import annotations

import numpy as np
from scipy.stats import zscore

from monai_debias.apps.ecg import NormalizeSignal, NormalizeSignald

EXAMPLES = {NormalizeSignal: [{}], NormalizeSignald: [{"keys": "image"}]}


def test_valid_values_count_and_flat_leads_become_zero():
    signal = np.random.default_rng(0).normal(3, 2, (4, 500))
    signal[1, 100:300] = np.nan
    signal[2] = 0.3
    signal[3] = np.nan
    result = NormalizeSignal()(signal)
    np.testing.assert_allclose(result[:2], zscore(signal[:2], axis=1, nan_policy="omit"))
    assert (result[2] == 0).all()
    assert np.isnan(result[3]).all()
