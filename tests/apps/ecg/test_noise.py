# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The size of the noise, and that leads do not share it."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.apps.ecg import RandSignalNoise, RandSignalNoised

EXAMPLES = {RandSignalNoise: [{"prob": 0.7}], RandSignalNoised: [{"keys": "image", "prob": 0.7}]}


def test_noise():
    noise = RandSignalNoise(1.0, (0.1, 0.2)).set_random_state(0)
    drawn = [noise(np.zeros((2, 2000))) for _ in range(50)]
    sizes = np.array([signal.std() for signal in drawn])
    assert 0.09 < sizes.min() < 0.12
    assert 0.18 < sizes.max() < 0.21
    assert abs(np.corrcoef(drawn[0])[0, 1]) < 0.1
    assert abs(np.corrcoef(drawn[0][0, 1:], drawn[0][0, :-1])[0, 1]) < 0.1


def test_a_pair_that_decreases():
    with pytest.raises(ValueError, match=r"std are 0\.2 and 0\.1"):
        RandSignalNoise(std=(0.2, 0.1))


def test_keys_of_several_shapes_cannot_share_a_draw():
    sample = {"image": np.zeros((12, 50)), "mask": np.ones((1, 50))}
    with pytest.raises(ValueError, match=r"drawn for a signal of shape \(12, 50\) does not fit one of \(1, 50\)"):
        RandSignalNoised(["image", "mask"], prob=1.0)(sample)
