# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbed of chest radiographs in a few seconds: what it trains on, and what it makes of its results."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.csv_file import append, made_by, read
from benchmarks.evidence import cohorts, learnability
from benchmarks.evidence.report import report
from benchmarks.evidence.testbeds import TESTBEDS, chest_xray
from benchmarks.evidence.testbeds.chest_xray import NETWORKS, QUICK, SPLITS
from benchmarks.evidence.training import AXES, Judge
from benchmarks.parts import Parts
from monai_debias.data import load_datalist

SHARES = (*SPLITS, "worst_group", *AXES, "validation_accuracy", "consistency_rule_reversed", "attention_rule_external")


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """The cohort of these tests only, not those of the measurements."""
    kept, cohorts.COHORTS = cohorts.COHORTS, tmp_path_factory.mktemp("cohorts")
    yield chest_xray.cohort(1.0, QUICK)
    cohorts.COHORTS = kept
    chest_xray.load.cache_clear()


def test_films_and_lungs_are_those_of_the_datalist(folder):
    films, items = chest_xray.load(folder, "test_same"), load_datalist(folder, "test_same")
    assert films.image.shape == films.mask.shape == (9, 1, 64, 64)
    assert films.label.tolist() == [item["label"] for item in items]
    assert 0 <= films.image.min() < films.image.max() <= 1
    assert set(films.mask.unique().tolist()) == {0, 1}
    assert films.image[:, :, 3:9, 2:8].amax((1, 2, 3)).min() > 0.7  # the R on the left of the picture, upright
    lungs, others = films.mask.bool(), chest_xray.load(folder, "test_reversed")
    assert torch.equal(films.image[lungs], others.image[lungs])
    assert not torch.equal(films.image, others.image)
    chest_xray.load.cache_clear()
    assert torch.equal(chest_xray.load(folder, "test_same").image, films.image)  # from the file that keeps them


def test_cropped_films_show_all_of_the_lungs_and_little_else(folder):
    whole, cropped = (chest_xray.load(folder, "test_same", cropped) for cropped in (False, True))
    assert cropped.image.shape == whole.image.shape
    for mask in cropped.mask[:, 0]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        for places in (rows, columns):
            assert 1 <= places.min() <= 5
            assert 58 <= places.max() <= 62


def test_images_are_z_scored_alone_and_in_batches():
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    together = chest_xray.z_score(images)
    torch.testing.assert_close(together, torch.stack([chest_xray.z_score(image) for image in images]))
    torch.testing.assert_close(together.flatten(1).mean(1), torch.zeros(4))
    torch.testing.assert_close(together.flatten(1).std(1), torch.ones(4))


def test_the_network_sees_z_scored_images_in_training_and_in_tests(folder):
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pool, self.head = torch.nn.AdaptiveAvgPool2d(4), torch.nn.Linear(16, 3)

        def forward(self, x):
            seen.append(x.detach())
            return self.head(self.pool(x).flatten(1))

    samples = chest_xray.load(folder, "training").items()
    for name in ("plain", "backmix", "jtt", "afr", "background_consistency"):
        parts = Parts(Spy(), (), 3, samples, 0, normalize=chest_xray.z_score).changed(chest_xray.METHODS[name].steps)
        parts.fit(8, 1, 1e-3)
    Judge(parts.network, chest_xray.z_score).accuracy(chest_xray.load(folder, "validation"))
    assert len(seen) > 10
    torch.testing.assert_close(torch.cat(seen).flatten(1).std(1), torch.ones(sum(map(len, seen))))


def test_only_masked_and_cropped_images_take_masks_for_good(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(chest_xray, "judged", lambda trained, tests, _: seen.append((trained.judge, tests)) or {})
    for name in ("plain", "masked", "cropped"):
        chest_xray.run("chest_xray", name, 0, 1.0, QUICK)
    (plain, whole), (masked, _), (_, cropped) = seen
    assert (plain.masked, masked.masked) == (False, True)
    outside = ~whole["same"].mask[:5].bool()
    assert plain.batches(whole["same"])[0]["image"][outside].any()
    assert not masked.batches(whole["same"])[0]["image"][outside].any()
    assert cropped["external"].mask.float().mean() > 1.1 * whole["external"].mask.float().mean()


@pytest.mark.parametrize("method", ["plain", "isnet_original", "manifold_mixup", "jtt", "afr"])
def test_methods_train_and_are_judged(method):
    row = TESTBEDS["chest_xray"].run(method, 0, 1.0, QUICK)
    assert all(0 <= row[column] <= 1 for column in SHARES)
    assert row["seconds"] > 0


def test_the_reference_trains_without_bias(monkeypatch):
    asked, cohort = [], chest_xray.cohort
    monkeypatch.setattr(chest_xray, "cohort", lambda bias, *more: asked.append(bias) or cohort(1.0, *more))
    TESTBEDS["chest_xray"].run("unbiased", 0, 0.95, QUICK)
    assert asked == [1 / 3, 0.95, 0.95]  # training; validation and test


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_their_stages(name):
    network = NETWORKS[name].make(2).eval()
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 2)
    for stage in NETWORKS[name].stages:
        network.get_submodule(stage)


def test_what_can_be_learned_is_measured_without_bias(monkeypatch):
    few = replace(QUICK, patients=(3, 2, 1, 1), size=32, batch=2)
    monkeypatch.setattr(learnability, "QUICK", few)
    row = learnability.one_run("tb", 0, quick=True)
    assert (chest_xray.cohort(0.5, few, "tb") / "datalist.json").exists()
    assert all(0 <= row[column] <= 1 for column in ("validation", *learnability.SECTIONS.values()))


def test_results_are_reported(tmp_path):
    file, measured = tmp_path / "chest_xray.csv", TESTBEDS["chest_xray"].run("plain", 0, 1.0, QUICK)
    for method, external in (("plain", 0.8), ("backmix", 0.85), ("isnet", 0.7)):
        for seed in range(3):
            row = {**made_by(), "method": method, "seed": seed, "strength": 1.0, **measured, "run_seconds": 60}
            found = {"same": 0.95, "reversed": 0.4, "pointing_game": 0.1, "external": external + seed / 100}
            append(file, {**row, **found})
    text = report(TESTBEDS["chest_xray"], read(file), file.with_suffix(""))
    assert "shortcut learner in 3 of 3 runs" in text
    assert "| 1 | BackMix | +5.0 [5.0, 5.0] |" in text
    assert "| 1 | ISNet, selective | -10.0 [-10.0, -10.0] |" in text
    assert "semi-synthetic" in text
