# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from pathlib import Path

import pytest
import torch

from tests import processes
from tests.bundles.echo_view import (
    BUNDLE,
    KEY_METRICS,
    SMALL,
    configs,
    in_this_process,
    last_terms,
    logged,
    losses,
    places,
    run,
    train,
)


@pytest.fixture(scope="session")
def plain_losses(root) -> list[float]:
    return losses(root / "eval" / "baseline")


def test_training_leaves_a_model_a_resumable_state_and_a_log(trained, plain_losses):
    weights = torch.load(trained / "model.pt", weights_only=True)
    assert weights["fc.weight"].shape == (4, 256)
    assert torch.load(trained / "last.pt", weights_only=True)["trainer"]["max_epochs"] == 1
    assert len(plain_losses) == 3  # 24 clips in batches of 8
    assert all(0 < loss < 10 for loss in plain_losses)


@pytest.mark.parametrize(
    ("overlays", "options"),
    [
        (("wbackmix",), ("--background", "noise", "--requested_mask_fraction", "0.3")),
        (("manifold_mixup", "spectral_decoupling"), ("--alpha", "0.4", "--penalty_weight", "1.0")),
    ],
)
def test_overlays_with_options_train_differently_from_the_baseline(overlays, options, tmp_path, cohort, plain_losses):
    """As they are typed; what each overlay does is in tests/overlays/test_overlays_pairs.py."""
    train(tmp_path, cohort, *overlays, options=options)
    assert (tmp_path / "model.pt").exists()
    assert all(0 < loss < 10 for loss in losses(tmp_path))
    assert losses(tmp_path)[0] != plain_losses[0]  # same seed and first batch, but not the same images


def test_the_best_epoch_is_chosen_by_the_exchange_of_backgrounds(tmp_path, cohort):
    train(tmp_path, cohort, "backmix")
    found = {name: logged(tmp_path).Scalars(name)[-1].value for name in KEY_METRICS}
    assert 0 < found["val_accuracy"] <= 1
    assert 0 < found["val_swap_consistency"] <= 1
    product = found["val_accuracy"] * found["val_swap_consistency"]
    assert found["consistent_val_accuracy"] == pytest.approx(product, abs=1e-6)
    best = torch.load(tmp_path / "last.pt", weights_only=True)["best"]
    assert best["metric"] == "consistent_val_accuracy"
    assert best["score"] == pytest.approx(product, abs=1e-6)


def test_backmix_isnet_and_spectral_decoupling_in_one_training(tmp_path, cohort):
    train(tmp_path, cohort, "backmix", "isnet", "spectral_decoupling", options=("--penalty_weight", "1.0"))
    terms = last_terms(tmp_path)
    assert all(terms[f"{name}_loss"] > 0 for name in ("classification", "background", "penalty"))
    assert torch.load(tmp_path / "model.pt", weights_only=True)["fc.weight"].shape == (4, 256)


def test_a_killed_training_equals_the_uninterrupted_one_when_the_command_is_typed_again(tmp_path, cohort):
    """With BackMix, which draws a donor for each image."""
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    options = [*places(cohort, cut), *SMALL, "--max_epochs", "4"]
    command = ["monai.bundle", "run", "--config_file", configs("train", "backmix"), *options]
    process = processes.start(command, BUNDLE, tmp_path / "log.txt")
    deadline = time.monotonic() + 120
    while not (cut / "last.pt").exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)  # until the first epoch has been saved
    process.kill()
    process.join()
    epochs = torch.load(cut / "last.pt", weights_only=True)["trainer"]["iteration"] // 3
    assert 1 <= epochs < 4
    in_this_process(cut, cohort, "backmix", max_epochs=4)
    in_this_process(whole, cohort, "backmix", max_epochs=4)
    for name in ("model.pt", "last.pt"):
        resumed, uninterrupted = (torch.load(folder / name, weights_only=True) for folder in (cut, whole))
        weights, expected = (state.get("network", state) for state in (resumed, uninterrupted))
        assert all(torch.equal(weights[key], expected[key]) for key in expected)


def test_another_method_does_not_go_on_with_a_training(trained, cohort):
    before = (trained / "last.pt").read_bytes()
    with pytest.raises(RuntimeError) as caught:  # of MONAI, which evaluates the config
        in_this_process(trained, cohort, "mixup", max_epochs=2)
    told = "last.pt does not belong to this training: method is 'baseline' there and 'mixup' here"
    assert told in str(caught.value.__cause__)
    assert (trained / "last.pt").read_bytes() == before


def test_a_loss_that_is_nan_ends_the_plain_training_with_an_error(tmp_path, cohort):
    with pytest.raises(RuntimeError) as caught:
        in_this_process(tmp_path, cohort, max_epochs=1, learning_rate=1e30)
    assert isinstance(caught.value.__cause__, FloatingPointError)
    assert re.search(r" is (nan|-?inf) in iteration [23] \(epoch 1\)", str(caught.value.__cause__))
    assert not (tmp_path / "model.pt").exists()


def test_tracking_with_mlflow(tmp_path, cohort):
    train(tmp_path, cohort, options=("--tracking", "mlflow"))
    with contextlib.closing(sqlite3.connect(next(tmp_path.rglob("*.db")))) as database:
        metrics = {name for (name,) in database.execute("SELECT key FROM metrics")}
    assert {"train_loss", "val_accuracy"} <= metrics


def test_bad_data_gets_a_clear_error(tmp_path, cohort):
    def fails(dataset_dir: Path, *options: str) -> str:
        typed = [*places(dataset_dir, tmp_path / "out"), *SMALL, *options]
        return run("run", "--config_file", configs("train"), *typed, fails=True)

    (tmp_path / "empty").mkdir()
    assert "is empty; build one with" in fails(tmp_path / "empty")
    assert not any((tmp_path / "empty").iterdir())
    assert "does not exist" in fails(tmp_path / "typing_error")  # the demo cohort is not generated in its place
    assert "the network is made for A4C, PLAX" in fails(cohort, "--class_names", "['A4C','PLAX']")
