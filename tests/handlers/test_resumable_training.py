# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import CheckpointSaver

from monai_debias.handlers import ResumableTraining

SCORES = [0.5, 0.9, 0.7, 0.6, 0.8]


def train(folder: Path, epochs: int, stop_in_epoch: int | None = None) -> tuple[Engine, torch.nn.Module]:
    """A training whose validation score of each epoch is given, so that the second epoch's model is the best."""
    torch.manual_seed(0)
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    optimizer = torch.optim.Adam(network.parameters())
    saver = CheckpointSaver(str(folder), {"model": network}, save_key_metric=True, key_metric_filename="model.pt")
    validator = Engine(lambda engine, batch: None)
    saver.attach(validator)

    def step(engine: Engine, batch: int) -> None:
        if engine.state.epoch == stop_in_epoch and batch == 1:
            raise KeyboardInterrupt
        with torch.no_grad():
            network.weight += 1

    def validate(engine: Engine) -> None:
        validator.state.key_metric_name = "score"
        validator.add_event_handler(
            Events.EPOCH_STARTED, lambda e: e.state.metrics.update(score=SCORES[engine.state.epoch - 1])
        )
        validator.run([0], max_epochs=1)

    trainer = Engine(step)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
    ResumableTraining(folder, {"network": network, "optimizer": optimizer}, best_saver=saver).attach(trainer)
    trainer.run([0, 1], max_epochs=epochs)
    return trainer, network


def best_weight(folder: Path) -> float:
    return torch.load(folder / "model.pt", weights_only=True)["weight"].item()


def test_an_interrupted_training_goes_on_after_its_last_whole_epoch(tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 5, stop_in_epoch=4)
    with caplog.at_level(logging.INFO):
        trainer, network = train(tmp_path, 5)
    assert "resuming after epoch 3" in caplog.text
    assert trainer.state.epoch == 5
    assert network.weight.item() == 10  # two steps in each of five epochs: the half epoch was done again


def test_the_best_model_survives_a_restart(tmp_path):
    train(tmp_path, 2)
    assert best_weight(tmp_path) == 4
    train(tmp_path, 5)  # none of the later epochs is as good
    assert best_weight(tmp_path) == 4


def test_a_finished_training_is_not_trained_again(tmp_path, caplog):
    train(tmp_path, 2)
    _, network = train(tmp_path, 2)
    assert network.weight.item() == 4
    assert "has 2 epochs already: nothing is trained" in caplog.text


def test_a_model_of_unknown_origin_is_not_overwritten(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="move the model away"):
        train(tmp_path, 1)
    assert (tmp_path / "model.pt").read_bytes() == b"precious"


def test_bad_arguments_get_a_clear_error(tmp_path):
    for objects in ({}, {"trainer": torch.nn.Linear(1, 1)}):
        with pytest.raises(ValueError, match="objects must name at least the network"):
            ResumableTraining(tmp_path, objects)
