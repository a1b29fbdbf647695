# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Warnings of a network that decides by a mark without relevance, and none of other networks."""

from __future__ import annotations

import logging

import pytest
import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from monai.inferers import SimpleInferer

from monai_debias.engines import PrepareBatchAttached
from monai_debias.handlers import BackgroundSwapConsistency, GuardSwapConsistency
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss

_EVALUATOR = {
    "_target_": "SupervisedEvaluator",
    "device": "cpu",
    "val_data_loader": [],
    "network": {"_target_": "torch.nn.Flatten"},
    "decollate": False,
}
EXAMPLES = {GuardSwapConsistency: [{"evaluator": _EVALUATOR}, {"evaluator": _EVALUATOR, "clean": 0.1}]}
# two pixels, region of interest and background; a half of the images has a mark there
IMAGES = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]] * 8)
BATCH = {
    "image": IMAGES,
    "label": torch.arange(16) % 2,
    "mask": torch.tensor([[[1, 0]]] * 16),
}


def make_network(region: float, mark: float) -> torch.nn.Module:
    """A hidden unit, on with a weight of the region, which the mark switches off, and two classes."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1), torch.nn.ReLU(), torch.nn.Linear(1, 2))
    network.load_state_dict(
        {
            "1.weight": torch.tensor([[region, mark]]),
            "1.bias": torch.tensor([0.0]),
            "3.weight": torch.tensor([[1.0], [0.0]]),
            "3.bias": torch.tensor([0.0, 0.5]),
        }
    )
    return network


def train(network: torch.nn.Module, heatmaps: bool = True, epochs: int = 1, metric: str = "c", **options) -> None:
    batch = BATCH if heatmaps else {key: BATCH[key] for key in ("image", "label")}
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[{key: BATCH[key] for key in ("image", "label")}],
        network=network,
        key_val_metric={"c": BackgroundSwapConsistency(network, [BATCH], n_swaps=15)},
        decollate=False,
    )
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=[batch],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.0),
        loss_function=ISNetLRPLoss() if heatmaps else torch.nn.CrossEntropyLoss(),
        prepare_batch=PrepareBatchAttached(),
        inferer=ISNetInferer(0, blend=False) if heatmaps else SimpleInferer(),
        train_handlers=[GuardSwapConsistency(evaluator, metric, **options), ValidationHandler(1, evaluator)],
        decollate=False,
    )
    trainer.run()


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "GuardSwapConsistency")


def test_a_mark_without_relevance_is_warned_of_once(caplog):
    train(make_network(1.0, -2.0), epochs=3)  # with the mark the unit is off and has no relevance
    (record,) = caplog.records
    assert "epoch 1: only 0.0 % of the relevance lies outside the masks" in record.getMessage()
    # 8 of the 15 other images have the other background
    assert "changes 53.3 % of the decisions (swap consistency 0.467)" in record.getMessage()


@pytest.mark.parametrize(
    ("region", "mark", "options"),
    [(1.0, 0.0, {}), (0.25, 1.0, {}), (1.0, -2.0, {"heatmaps": False}), (1.0, -2.0, {"consistent": 0.4})],
    ids=["reads the region", "its heatmap shows the mark", "no heatmaps", "consistent enough"],
)
def test_other_networks_are_not_warned_of(region, mark, options, caplog):
    train(make_network(region, mark), **options)
    assert not caplog.records


def test_a_worse_network_is_warned_of_again(caplog):
    guard = GuardSwapConsistency(SupervisedEvaluator(torch.device("cpu"), [], torch.nn.Flatten()), "c")
    trainer = SupervisedTrainer(
        torch.device("cpu"), 1, [], torch.nn.Flatten(), torch.optim.SGD([torch.zeros(1)], 0.0), torch.nn.MSELoss()
    )
    for consistency in (0.97, 0.9, 0.88, 0.93, 0.84, 0.2):
        guard._relevance = torch.tensor([0.0, 1.0])
        guard.evaluator.state.metrics = {"c": consistency}
        guard._compare(trainer)
    told = [float(record.getMessage().split("consistency ")[1].split(")")[0]) for record in caplog.records]
    assert told == [0.9, 0.84, 0.2]


def test_a_validation_without_the_metric_is_an_error():
    with pytest.raises(KeyError, match="no metric 'swap', it has c: give it a BackgroundSwapConsistency"):
        train(make_network(1.0, 0.0), metric="swap")
