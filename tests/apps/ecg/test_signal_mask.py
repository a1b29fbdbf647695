# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is not the heart is found in the real record, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_debias.apps.ecg import SignalMask, SignalMaskd
from tests.apps.ecg.records import real_leads

EXAMPLES = {
    SignalMask: [{"sampling_rate": 500}, {"per_lead": True, "sampling_rate": 500}],
    SignalMaskd: [{"keys": "image", "sampling_rate": 500}, {"keys": "image", "per_lead": True, "sampling_rate": 500}],
}
REAL = real_leads()


def found(signal, **options):
    return SignalMask(**options, sampling_rate=500)(signal).astype(bool)


def changed(begin, end, values, leads=slice(None)):
    signal, outside = REAL.copy(), np.ones(REAL.shape[1], bool)
    signal[leads, begin:end] = values
    outside[begin:end] = False
    return signal, outside


def test_the_real_record_shows_the_heart_everywhere():
    assert found(REAL).all()
    assert found(REAL[:, ::5]).all()
    assert found(np.round(REAL / 0.02) * 0.02).all()  # a coarse converter


@pytest.mark.parametrize(
    ("begin", "end", "values"),
    [
        (4200, 5000, 0),
        (4200, 5000, np.nan),
        (4200, 5000, REAL[:, 4199:4200]),
        (0, 300, 0),
    ],
)
def test_padding(begin, end, values):
    signal, heart = changed(begin, end, values)
    assert (found(signal)[0] != heart).sum() <= 1


@pytest.mark.parametrize("height", [0.5, 1.0, -1.0])
@pytest.mark.parametrize("begin", [0, 4700])
def test_a_calibration_pulse_at_either_end(begin, height):
    lead_in = np.zeros(300) + np.random.default_rng(0).normal(0, 0.01, (12, 300))  # too noisy to be silent
    lead_in[:, 100:200] += height
    signal, heart = changed(begin, begin + 300, lead_in)
    wrong = (found(signal)[0] != heart).sum()
    assert wrong <= 100  # the heart may be beside the pulse, or what is between it and the other side
    assert not found(signal)[0, begin + 100 : begin + 200].any()


@pytest.mark.parametrize("value", [0, 3.2, np.nan])
def test_a_lead_that_is_off(value):
    signal, heart = changed(2000, 2600, value, leads=8)
    assert (found(signal)[0] != heart).sum() <= 1
    rows = found(signal, per_lead=True)
    assert rows.shape == REAL.shape
    assert rows[[*range(8), *range(9, 12)]].all()
    assert (rows[8] != heart).sum() <= 1


def test_leads_without_any_signal_do_not_count():
    signal = REAL.copy()
    signal[3], signal[7] = np.nan, 0.3
    assert found(signal).all()
    signal, heart = changed(1000, 2000, 0)
    signal[3] = np.nan
    assert (found(signal)[0] != heart).sum() <= 1


def test_leads_that_were_recorded_one_after_the_other():
    signal = np.full_like(REAL, np.nan)
    for part in range(4):
        rows, times = slice(3 * part, 3 * part + 3), slice(1250 * part, 1250 * part + 1250)
        signal[rows, times] = REAL[rows, times]
    image = MetaTensor(torch.from_numpy(signal), meta={"filename_or_obj": "paper.dcm", "sampling_rate": 500})
    with pytest.raises(
        ValueError, match=r"signal \(paper\.dcm\) shows the heart nowhere in all leads at once; .*per_lead"
    ):
        SignalMaskd("image")({"image": image})
    mask = SignalMaskd("image", per_lead=True)({"image": image})["mask"]
    np.testing.assert_array_equal(mask.numpy() == 1, np.isfinite(signal))
    assert mask.meta["sampling_rate"] == 500


def test_a_dead_record():
    with pytest.raises(ValueError, match="shows the heart nowhere"):
        found(np.zeros((3, 5000)))


def test_of_several_signals_the_mask_is_that_of_the_first():
    padded = REAL.copy()
    padded[:, 2500:] = 0
    mask = SignalMaskd(["none", "image", "other"], sampling_rate=500, allow_missing_keys=True)
    assert mask({"image": padded, "other": REAL})["mask"].sum() == 2500
