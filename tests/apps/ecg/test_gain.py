# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The range of the factors, and that they are one for all leads."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.apps.ecg import RandSignalGain, RandSignalGaind

EXAMPLES = {RandSignalGain: [{"prob": 0.7}], RandSignalGaind: [{"keys": "image", "prob": 0.7}]}


def test_factors():
    gain = RandSignalGain(prob=1.0, factors=(0.5, 2)).set_random_state(0)
    factors = np.array([gain(np.ones((2, 1)))[:, 0] for _ in range(400)])
    assert (factors[:, 0] == factors[:, 1]).all()
    assert 0.5 <= factors.min() < 0.52
    assert 1.9 < factors.max() <= 2
    assert 0.4 < (factors[:, 0] < 1).mean() < 0.6  # half of them on either side of 1


def test_factors_that_decrease():
    with pytest.raises(ValueError, match="factors are 2 and 1, expected the smaller one first"):
        RandSignalGain(factors=(2, 1))
