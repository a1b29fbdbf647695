# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Signals that are cropped and padded, with a mask that says where they are valid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_debias.apps.ecg import FitDuration, FitDurationd

EXAMPLES = {
    FitDuration: [{"duration": 2, "sampling_rate": 500}, {"duration": 4, "place": "center", "sampling_rate": 500}],
    FitDurationd: [
        {"keys": "image", "duration": 2, "sampling_rate": 500},
        {"keys": "image", "duration": 4, "place": "center", "sampling_rate": 500},
    ],
}
NAN = np.nan


@pytest.mark.parametrize(
    ("place", "length", "expected"),
    [
        ("start", 3, [1, 2, 3]),
        ("start", 7, [1, 2, 3, 4, 5, NAN, NAN]),
        ("center", 3, [2, 3, 4]),
        ("center", 2, [3, 4]),
        ("center", 8, [NAN, 1, 2, 3, 4, 5, NAN, NAN]),
        ("center", 5, [1, 2, 3, 4, 5]),
    ],
)
def test_places(place, length, expected):
    signal = np.arange(1.0, 6.0)[None]
    np.testing.assert_array_equal(FitDuration(length / 100, place, sampling_rate=100)(signal), [expected])


def test_the_mask_says_what_is_padding():
    image = MetaTensor(torch.ones(2, 80), meta={"sampling_rate": 100})
    fit = FitDurationd(["image", "mask"], 1.0, padding=["nan", "zero"])
    sample = fit({"image": image, "mask": torch.ones(1, 80, dtype=torch.uint8)})
    assert sample["image"].shape == (2, 100)
    assert sample["mask"].dtype == torch.uint8
    np.testing.assert_array_equal(sample["mask"][0].numpy() == 0, np.isnan(sample["image"][0].numpy()))


def test_a_duration_below_a_sample():
    with pytest.raises(ValueError, match=r"a duration of 0\.1 samples leaves nothing"):
        FitDuration(0.001, sampling_rate=100)(np.zeros((1, 10)))
