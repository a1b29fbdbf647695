# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Resampled signals: against sines that are known, and what becomes of gaps, masks and the rate in the meta."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_debias.apps.ecg import FitDurationd, ResampleSignal, ResampleSignald

EXAMPLES = {
    ResampleSignal: [{"sampling_rate": 100, "source_rate": 500}],
    ResampleSignald: [{"keys": "image", "sampling_rate": 100, "source_rate": 500}],
}


def sine(rate, seconds=10.0, frequency=3.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)[None]


RATES = [(500, 100), (257, 100), (1000, 250), (100, 500), (360, 250), (128.5, 100)]


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_slow_wave_keeps_its_shape(source, target):
    resampled = ResampleSignal(target, source_rate=source)(sine(source))
    assert abs(resampled.shape[1] - 10 * target) <= 1
    expected = sine(target, resampled.shape[1] / target)
    np.testing.assert_allclose(resampled[:, target:-target], expected[:, target:-target], atol=0.01)


def test_what_the_new_rate_cannot_hold_is_removed():
    hum = sine(500, frequency=60.0)
    assert abs(ResampleSignal(100, source_rate=500)(hum)[:, 50:-50]).max() < 0.02
    assert abs(hum[:, ::5]).max() > 0.9  # what aliasing would have left


def test_gaps_do_not_spread():
    signal = sine(500)
    signal[:, 2000:2500] = np.nan
    resampled = ResampleSignal(100, source_rate=500)(signal)
    assert np.flatnonzero(np.isnan(resampled[0])).tolist() == [*range(400, 500)]
    np.testing.assert_allclose(resampled[0, 100:390], sine(100)[0, 100:390], atol=0.01)
    empty = ResampleSignal(100, source_rate=500)(np.full((2, 500), np.nan))
    assert np.isnan(empty).all()


def test_the_rate_in_the_meta():
    image = MetaTensor(torch.zeros(2, 500), meta={"sampling_rate": 500.0, "leads": "I,II"})
    mask = torch.ones(1, 500, dtype=torch.uint8)
    mask[:, 250:] = 0
    resample = ResampleSignald(["image", "mask"], 100, mode=["polyphase", "nearest"])
    sample = resample({"image": image, "mask": mask})
    assert sample["image"].meta["sampling_rate"] == 100
    assert sample["image"].meta["leads"] == "I,II"
    assert image.meta["sampling_rate"] == 500
    assert sample["mask"].dtype == torch.uint8
    assert sample["mask"][0].tolist() == [1] * 50 + [0] * 50
    again = resample(sample)
    assert again["image"].shape == (2, 100)


def test_each_signal_of_a_sample_has_its_own_rate():
    sample = {
        "image": MetaTensor(torch.zeros(12, 5000), meta={"sampling_rate": 500.0}),
        "mask": torch.ones(1, 5000, dtype=torch.uint8),
        "other": MetaTensor(torch.zeros(1, 1000), meta={"sampling_rate": 100.0}),
    }
    keys = ["image", "mask", "other"]
    resampled = ResampleSignald(keys, 50, mode=["polyphase", "nearest", "polyphase"])(sample)
    fitted = FitDurationd(keys, 2, padding="zero")(sample)
    assert [resampled[key].shape[1] for key in keys] == [500, 500, 500]
    assert [fitted[key].shape[1] for key in keys] == [1000, 1000, 200]


def test_records_of_several_rates_become_a_batch():
    items = [MetaTensor(torch.zeros(2, 10 * rate), meta={"sampling_rate": rate}) for rate in (250, 257, 500, 1000)]
    assert {tuple(ResampleSignal(100)(item).shape) for item in items} == {(2, 1000)}


def test_bad_signals():
    with pytest.raises(ValueError, match="has the sampling rate None, expected a number above 0: read it with"):
        ResampleSignal(100)(np.zeros((1, 10)))
    with pytest.raises(ValueError, match=r"signal \(a\.hea\) has the sampling rate 0\.0"):
        ResampleSignal(100)(MetaTensor(torch.zeros(1, 9), meta={"sampling_rate": 0, "filename_or_obj": "a.hea"}))
    with pytest.raises(ValueError, match=r"has shape \(10,\), expected \(leads, samples\)"):
        ResampleSignal(100, source_rate=500)(np.zeros(10))
    with pytest.raises(ValueError, match=r"has shape \(2, 0\)"):
        ResampleSignal(100, source_rate=500)(np.zeros((2, 0)))
    with pytest.raises(ValueError, match=r"expected \(leads, samples\) of real numbers"):
        ResampleSignal(100, source_rate=500)(np.zeros((2, 10), complex))
    with pytest.raises(TypeError, match="a signal is an array or tensor"):
        ResampleSignal(100, source_rate=500)([[0.0, 1.0]])
    with pytest.raises(ValueError, match="nothing is left of a signal of 1e\\+06 samples per second at 10"):
        ResampleSignal(10, source_rate=1e6)(np.zeros((2, 10)))


def test_a_single_sample_and_half_precision():
    np.testing.assert_allclose(
        ResampleSignal(500, source_rate=100)(np.full((1, 1), 2.0)), np.full((1, 5), 2.0), rtol=0.01
    )
    half = ResampleSignal(100, source_rate=500)(torch.ones(2, 50, dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16
    assert half.shape == (2, 10)
