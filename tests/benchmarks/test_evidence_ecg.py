# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbeds of ECGs in a few seconds: what they train on, each method on a few records, and what is remarked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.csv_file import made_by
from benchmarks.evidence import cohorts, ecg_records, label_noise
from benchmarks.evidence.report import report
from benchmarks.evidence.testbeds import TESTBEDS, ecg_device, ecg_flow_mixup, ecg_noise
from monai_debias.data import load_datalist

PATIENTS = (8, 24, 24, 20)
DEVICE, NOISE = (replace(testbed.QUICK, patients=PATIENTS) for testbed in (ecg_device, ecg_noise))


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """The cohort of these tests only, not those of the measurements."""
    kept, cohorts.COHORTS = cohorts.COHORTS, tmp_path_factory.mktemp("cohorts")
    yield ecg_records.cohort(ecg_records.CHANCE, PATIENTS)
    cohorts.COHORTS = kept
    ecg_records.load.cache_clear()


def test_records_and_masks_are_those_of_the_datalist(folder):
    records, items = ecg_records.load(folder, "test_same"), load_datalist(folder, "test_same")
    assert records.image.shape == (48, 12, 1000)
    assert records.mask.shape == (48, 1, 1000)
    assert (records.label.numpy() == [item["label"] for item in items]).all()
    assert not records.mask[:, :, :60].any()  # the lead-in
    assert records.mask[:, :, 60:].all()
    pulses = records.image[:, 0, :60].amax(1) > 0.9
    assert pulses.tolist() == [item["shortcuts"]["calibration_pulse"] for item in items]
    reverse = ecg_records.load(folder, "test_reversed")
    assert torch.equal(records.image[:, :, 60:], reverse.image[:, :, 60:])
    assert not torch.equal(records.image, reverse.image)


def test_external_records_come_to_the_same_rate(folder):
    records = ecg_records.load(folder, "test_external")  # their files have 200 Hz
    assert records.image.shape[1:] == (12, 1000)
    assert not records.mask[:, :, :60].any()
    heights = records.image[:, 0, 20:30].mean(1)
    torch.testing.assert_close(heights, torch.full_like(heights, 0.5), atol=0.05, rtol=0)


@pytest.mark.parametrize("method", ["plain", "flow_mixup", "label_smoothing", "elr"])
def test_methods_train_with_wrong_labels(method):
    row = ecg_noise.run("swap", method, 0, 0.2, NOISE)
    assert all(0 < row[f"r2_{stage}"] < 1 for stage in ecg_records.STAGES)
    assert all(0 <= row[column] <= 1 for column in (*label_noise.SPLITS, *label_noise.AXES))
    assert {f"auc_{k}" for k in range(11)} <= row.keys()


def test_flow_mixup_is_changed_into_mixup_and_looked_at():
    row = ecg_flow_mixup.run("weighted", 0, 0.4, NOISE)
    looked_at = [f"{kind}_{stage}" for kind in ("linear", "r2") for stage in ecg_records.STAGES]
    assert all(0 <= row[column] <= 1 for column in ("by_heart", *looked_at))
    lines = {**row, **made_by(), "method": "weighted", "seed": 0, "strength": 0.4}
    text = ecg_flow_mixup.remarks([{key: str(value) for key, value in lines.items()}])
    assert f"the former without weight |  | {100 * row['by_heart']:.1f}" in text


def test_what_is_learned_by_heart_and_how_linear_labels_are():
    images, clean = torch.randn(40, 11, 8), torch.tensor([[0.0, 1.0]]).repeat(20, 1).reshape(40, 1).repeat(1, 11)
    images[..., :] += 9 * clean[..., None]  # from whose mean a line reads them
    stages = torch.nn.Sequential(*(torch.nn.Identity() for _ in range(4)))
    network = torch.nn.Sequential()
    for stage, layer in zip(ecg_records.STAGES, stages, strict=True):
        network.add_module(stage, layer)
    network.add_module("decision", torch.nn.Sequential(torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()))
    network.add_module("threshold", _Minus(4.5))
    noisy = clean.clone()
    noisy[:10] = 1 - noisy[:10]
    samples = label_noise.Labelled(images, clean)
    assert ecg_flow_mixup.by_heart(network, samples, noisy, 16) == 0  # it gives the true ones
    assert ecg_flow_mixup.by_heart(network, samples._replace(image=images.flip(0)), noisy, 16) == 1  # the others
    assert ecg_flow_mixup.by_heart(network, samples, clean, 16) == 0
    assert set(ecg_flow_mixup.read_out(network, samples, samples, 16).values()) == {1.0}


def test_the_mode_is_that_of_the_testbed(monkeypatch):
    modes = []
    monkeypatch.setattr(ecg_noise, "run_with_noise", lambda *arguments: modes.append(arguments[-2]) or {})
    for name in ("ecg_noise", "ecg_swapped"):
        TESTBEDS[name].run("plain", 0, 0.2, NOISE)
    assert modes == ["flip", "swap"]


@pytest.mark.parametrize("method", ["plain", "backmix_isnet", "background_consistency", "masked"])
def test_methods_train_with_devices_and_are_judged(method):
    row = ecg_device.run(method, 0, ecg_records.CHANCE, DEVICE)
    assert all(0 <= row[column] <= 1 for column in (*ecg_device.SPLITS, *ecg_device.AXES, "validation_auc"))
    assert row["others"] == row["random_others"]
    assert (row["same"] == row["reversed"]) == (method == "masked")  # the devices differ outside the masks alone


def test_one_label_makes_a_softmax_of_its_own_logit():
    logits = torch.randn(4, 11)
    two = ecg_device.one_label(torch.nn.Identity(), 6)(logits)
    torch.testing.assert_close(two.softmax(1)[:, 1], logits[:, 6].sigmoid())


def test_the_reference_trains_without_bias(monkeypatch):
    asked, cohort = [], ecg_device.cohort
    monkeypatch.setattr(
        ecg_device, "cohort", lambda bias, patients: asked.append(bias) or cohort(ecg_records.CHANCE, patients)
    )
    ecg_device.run("unbiased", 0, 0.95, DEVICE)
    assert asked == [0.5, 0.95]  # training; validation and tests


def test_remarks_say_what_the_devices_cost_and_what_helps(tmp_path):
    rows = []
    for method, reverse in (("plain", 0.2), ("unbiased", 0.9), ("backmix", 0.8)):
        for seed in range(3):
            found = {**dict.fromkeys((*ecg_device.SPLITS, *ecg_device.AXES), 0.95), "reversed": reverse + seed / 100}
            row = {
                **made_by(),
                "method": method,
                "seed": seed,
                "strength": 1.0,
                "seconds": 1,
                "run_seconds": 1,
                **found,
            }
            rows.append({key: str(value) for key, value in row.items()})
    text = ecg_device.remarks(rows)
    assert "the plain network loses 74.0 points of AUC; trained without bias it has 91.0" in text
    assert "Above plain: BackMix +60.0 [60.0, 60.0]." in text
    assert ecg_records.NATURE in report(ecg_device.TESTBED, rows, tmp_path / "ecg_device")


def test_remarks_show_the_clusters_of_hidden_states():
    row = {**ecg_noise.run("flip", "plain", 0, 0.2, NOISE), **made_by(), "method": "plain", "seed": 0, "strength": 0.2}
    text = ecg_noise.all_remarks([{key: str(value) for key, value in row.items()}])
    assert f"| 0.2 | plain |  | {100 * row['r2_layer1']:.1f}" in text


def test_early_learning_pulls_towards_what_was_predicted_before():
    """Against the paper's equation for two outcomes, worked out with numpy."""
    loss = ecg_noise.with_early_learning(weight=3.0, memory=0.7)
    parts = loss(ecg_records.make_parts([{"image": torch.zeros(12, 1000), "label": torch.zeros(11)}] * 3, 0))
    assert [sample["label"][-1].item() for sample in parts.samples] == [0, 1, 2]
    label = torch.cat([torch.tensor([[1.0] + [0.0] * 10]), torch.tensor([[2.0]])], 1)
    logit = torch.full((1, 11), 2.0)
    p = 1 / (1 + np.exp(-2.0))
    target = 0.5
    for _ in range(2):
        found = parts.classification_loss(logit, label)
        target = 0.7 * target + 0.3 * p
        pull = 3 * np.log(1 - (p * target + (1 - p) * (1 - target)))
        assert found[0, 0].item() == pytest.approx(-np.log(p) + pull, rel=1e-4)
        assert found[0, 1].item() == pytest.approx(-np.log(1 - p) + pull, rel=1e-4)


def test_label_smoothing():
    parts = ecg_records.make_parts([{"image": torch.zeros(12, 1000), "label": torch.tensor([0.0, 1.0])}], 0)
    (sample,) = ecg_noise.with_label_smoothing(0.1)(parts).samples
    torch.testing.assert_close(sample["label"], torch.tensor([0.05, 0.95]))


class _Minus(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return x - self.value
