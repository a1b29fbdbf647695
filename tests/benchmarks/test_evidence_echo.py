# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The echo testbed in a few seconds: the bundle's own training, judged on what the bundle itself would see."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.csv_file import append, made_by, read
from benchmarks.evidence import echo_flips, tuning
from benchmarks.evidence.report import report
from benchmarks.evidence.testbeds import echo_demo
from benchmarks.evidence.training import AXES, Judge

BUDGET = echo_demo.QUICK
RULES = ("", "consistency_rule_", "attention_rule_")
SHARES = (*(rule + split for rule in RULES for split in echo_demo.SPLITS), *AXES)


@pytest.fixture(scope="module", autouse=True)
def cohorts(tmp_path_factory):
    """Cohorts of these tests only, not those of the measurements."""
    kept, echo_demo.COHORTS = echo_demo.COHORTS, tmp_path_factory.mktemp("cohorts")
    yield echo_demo.COHORTS
    echo_demo.COHORTS = kept
    echo_demo.load.cache_clear()


def own(overlays, folder):
    """The bundle as it is, for the same images."""
    parser = echo_demo.bundle(overlays, folder, BUDGET.image_size)
    for data_set in ("train#cached_dataset", "validate#dataset"):
        parser[f"{data_set}#num_workers"] = 1
    return parser


@pytest.mark.parametrize("method", ["plain", "wbackmix", "backmix_isnet"])
def test_methods_train_and_are_judged(method):
    row = echo_demo.run(method, 0, 1.0, BUDGET)
    assert all(0 <= row[column] <= 1 for column in SHARES)
    assert all(0 <= row[f"validation_{column}"] <= 1 for column in ("accuracy", *AXES))
    assert [row[f"{rule}epoch"] for rule in RULES] == [1, 1, 1]
    assert row["seconds"] > 0


def test_the_reference_trains_without_bias(monkeypatch):
    asked, cohort = [], echo_demo.cohort
    monkeypatch.setattr(echo_demo, "cohort", lambda bias, budget: asked.append(bias) or cohort(1.0, budget))
    echo_demo.run("unbiased", 0, 0.95, BUDGET)
    assert asked == [0.25, 0.95, 0.95]  # training; validation and test


def test_every_method_is_one_of_the_bundle():
    folder = echo_demo.cohort(1.0, BUDGET)
    for name, method in echo_demo.METHODS.items():
        parser = own(method.overlays, folder)
        assert set(parser["methods"]) == set(method.overlays), name


@pytest.mark.parametrize("method", ["plain", "isnet_few_masks"])
def test_training_samples_are_those_of_the_bundle(method):
    folder, overlays = echo_demo.cohort(1.0, BUDGET), echo_demo.METHODS[method].overlays
    section = echo_demo.load(folder, "training", BUDGET.image_size)
    ours = echo_demo.training_samples(own(overlays, folder), section)
    theirs = own(overlays, folder).get_parsed_content("train#cached_dataset")
    assert len(ours) == len(theirs) == 4 * BUDGET.patients[0]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        assert torch.equal(mine["image"], other["image"].as_tensor())
        assert mine["label"] == other["label"]
        assert "mask" not in mine or torch.equal(mine["mask"].float(), other["mask"].as_tensor().float())
    assert sum("mask" in sample for sample in ours) == (0 if method == "plain" else 4)  # of one patient


def test_the_network_is_judged_on_what_the_bundle_would_validate_on():
    folder = echo_demo.cohort(1.0, BUDGET)
    section = echo_demo.load(folder, "validation", BUDGET.image_size)
    parser = own([], folder)
    normalize = echo_demo.normalizer(parser)
    network = parser.get_parsed_content("network").eval()
    theirs = list(parser.get_parsed_content("validate#dataset"))
    with torch.no_grad():
        logits = network(normalize(section.image))
        expected = network(torch.stack([sample["image"].as_tensor() for sample in theirs]))
    assert torch.equal(logits, expected)
    assert section.label.tolist() == [sample["label"] for sample in theirs]
    judge = Judge(network, normalize)
    assert judge.accuracy(section) == pytest.approx((expected.argmax(1) == section.label).float().mean().item())
    assert section.image.min() >= 0
    assert section.image.max() <= 1
    outside = section.image[section.mask == 0]
    assert (outside == 0).float().mean() > 0.5  # black is 0, as BackMix needs it


def test_sectors_are_kept_and_splits_are_paired():
    folder = echo_demo.cohort(1.0, BUDGET)
    first = echo_demo.load(folder, "test_same", BUDGET.image_size)
    echo_demo.load.cache_clear()
    assert torch.equal(echo_demo.load(folder, "test_same", BUDGET.image_size).mask, first.mask)
    assert not list(Path(folder).glob("*.pt.*"))
    other = echo_demo.load(folder, "test_reversed", BUDGET.image_size, sectors=False)
    assert torch.equal(first.label, other.label)
    assert not torch.equal(first.image, other.image)
    assert len(other.mask) == 0


def test_the_same_seed_gives_the_same_run_and_another_one_does_not():
    first, second, other = (echo_demo.run("flow_mixup", seed, 1.0, BUDGET) for seed in (1, 1, 2))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["validation_swap_change"] != other["validation_swap_change"]


def test_settings_of_a_candidate_reach_the_bundle_and_are_chosen_without_a_test_split(monkeypatch):
    asked, bundle, sections, load = [], echo_demo.bundle, [], echo_demo.load
    monkeypatch.setattr(echo_demo, "bundle", lambda *args: asked.append(bundle(*args)) or asked[-1])
    monkeypatch.setattr(echo_demo, "load", lambda of, name, *more: sections.append(name) or load(of, name, *more))
    options = {"loss_parts#isnet#background_scale": 0.1, "relevance_weight": 0.7, "ramp_epochs": 0}
    row = tuning.one_run("echo_demo", "isnet", options, quick=True)
    trained = next(parser for parser in asked if "ramp_epochs" in parser)
    loss = trained.get_parsed_content("loss")
    assert (loss.background_scale, float(loss.relevance_weight)) == (0.1, pytest.approx(0.7))
    assert row["settings"] == "loss_parts#isnet#background_scale 0.1, relevance_weight 0.7, ramp_epochs 0"
    assert sections == ["training", "validation"]


def test_results_are_reported(tmp_path):
    file = tmp_path / "echo_demo.csv"
    measured = echo_demo.run("plain", 0, 1.0, BUDGET)
    for strength in (0.8, 1.0):
        for method in ("plain", "backmix_isnet"):
            for seed in range(3):
                reverse = 0.9 if method != "plain" else 0.75 if strength == 0.8 else 0.1 * seed
                row = {**made_by(), "method": method, "seed": seed, "strength": strength, **measured}
                append(file, {**row, "same": 0.92, "reversed": reverse, "pointing_game": 0.1, "run_seconds": 60})
    text = report(echo_demo.TESTBED, read(file), file.with_suffix(""))
    assert "Strength 1: the plain network is a shortcut learner in 3 of 3 runs" in text
    assert "Strength 0.8: the plain network is a shortcut learner in 0 of 3 runs" in text
    assert text.count("this strength does not count") == 1
    assert "| 1 | plain | 10.0 ± 10.0 (0.0) |" in text
    assert "semi-synthetic" in text
    assert file.with_suffix(".png").stat().st_size > 5_000
    assert (tmp_path / "echo_demo_strengths.png").stat().st_size > 5_000


@pytest.mark.parametrize(("outside", "share"), [(False, 0.0), (True, 1.0)])
def test_flips_are_those_of_a_network_that_reads_the_background(outside, share):
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(16, 1, 8, 8, dtype=torch.uint8)
    mask[..., :4] = 1
    section = echo_demo.Section(torch.rand(16, 1, 8, 8, generator=generator), torch.zeros(16), mask)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4, bias=False))
    network[1].weight.data = torch.randn(4, 64, generator=generator) * (mask[0].flatten() == (not outside))
    found = echo_flips.quarters(Judge(network), section)
    assert found.upper == pytest.approx([share] * 4)
    assert (max(found.flips) > 0.1) == outside


def test_flips_are_counted_on_training_and_validation_images():
    found = echo_flips.one_run("isnet", 0, quick=True)
    assert len(found) == len(echo_flips.SECTIONS)
    for run in found:
        assert run.upper == sorted(run.upper)
        assert all(0 <= value <= 1 for value in run.upper + run.flips)
