# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Foreign bundles take each method by what the README says: one command, and the names of files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.networks.nets import SEResNet50

from tests import processes
from tests.bundles.guest_bundles import SMALL, Training, make_guest

# what each method shows of itself, and options
METHODS: dict[tuple[str, ...], tuple[str, dict[str, float]]] = {
    ("backmix",): ("train_accuracy", {}),
    ("background_consistency",): ("consistency_loss", {}),
    ("wbackmix",): ("train_accuracy", {"requested_mask_fraction": 0.5}),
    ("isnet",): ("background_loss", {}),
    ("isnet", "isnet_lds"): ("background_loss", {}),
    ("isnet", "few_masks"): ("background_loss", {"requested_mask_fraction": 0.5}),
    ("spectral_decoupling",): ("penalty_loss", {}),
    ("label_noise", "mixup"): ("mixed_loss", {"label_noise_rate": 0.5}),
    ("manifold_mixup",): ("mixed_loss", {}),
    ("flow_mixup",): ("layer3_loss", {}),
    ("backmix", "select_by_swap"): ("train_accuracy", {}),
}


@pytest.fixture(scope="module", name="endoscopy")
def fixture_endoscopy(tmp_path_factory) -> Path:
    return make_guest("endoscopy", tmp_path_factory.mktemp("guests"))


@pytest.fixture(scope="module", name="volumes")
def fixture_volumes(tmp_path_factory) -> Path:
    return make_guest("volumes", tmp_path_factory.mktemp("guests"))


def test_the_guest_itself_trains_by_the_command_line(endoscopy, tmp_path):
    command = ["monai.bundle", "run", "--config_file", endoscopy / "configs" / "train.json"]
    for name, value in {**SMALL["endoscopy"], "dataset_dir": endoscopy / "data", "bundle_root": tmp_path}.items():
        command += [f"--{name}", value]
    assert processes.run(command, endoscopy, tmp_path / "log.txt") == 0, (tmp_path / "log.txt").read_text()
    assert (tmp_path / "models" / "model.pt").exists()


@pytest.mark.parametrize("names", METHODS, ids="-".join)
def test_each_method_trains_and_shows_what_a_plain_training_shows(names, endoscopy):
    term, options = METHODS[names]
    training = Training(endoscopy, names, **options)
    assert len(training.losses) == 2
    assert all(0 < loss < 100 for loss in training.losses)
    for (pred, label), processed in zip(training.shown, training.processed, strict=True):
        assert pred.shape == (4, 3)
        assert label.shape == (4,)
        assert pred.requires_grad
        assert label.tolist() == [int(one["label"].argmax()) for one in processed]
        assert all(one["pred"].shape == one["label"].shape == (3,) and one["pred"].sum() == 1 for one in processed)
    assert {"train_accuracy", term} <= training.trainer.state.metrics.keys()
    assert training.trainer.state.metrics[term] > 0
    assert ("val_swap_consistency" in training["validate#evaluator"].state.metrics) == ("select_by_swap" in names)
    weights = torch.load(endoscopy / "models" / training["method"] / "model.pt", weights_only=True)
    SEResNet50(spatial_dims=2, in_channels=3, num_classes=3, layers=[1, 1, 1, 1]).load_state_dict(weights)


@pytest.mark.parametrize(
    "names",
    [("backmix", "isnet", "select_by_swap"), ("background_consistency",), ("flow_mixup", "label_noise")],
    ids="-".join,
)
def test_volumes_of_several_findings_with_names_of_their_own(names, volumes):
    """One list of transforms in a data set in the loader, ``net``, ``train#loss``, masks by another key."""
    training = Training(volumes, names, mask_source="body")
    assert training["task"] == "multi_label"
    assert len(training.losses) == 2
    for pred, label in training.shown:
        assert pred.shape == label.shape == (4, 2)
    assert "train_auc" in training.trainer.state.metrics
    assert (volumes / "models" / training["method"] / "model.pt").exists()
