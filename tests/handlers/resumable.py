# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A training that can be interrupted, and what happens to it."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler
from monai.transforms import Compose, RandFlipd, RandGaussianNoised
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from monai_debias.engines import PrepareBatchAttached
from monai_debias.handlers import BestModel, FiniteLoss, ResumableTraining
from monai_debias.losses import MixupLoss
from monai_debias.transforms import MixBatchd

BATCHES = 3  # in an epoch


SCORES = [0.5, 0.9, 0.7, 0.9, 0.8]


class GivenScore(Metric):
    """Says of each epoch what the test wants to hear."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = scores

    def reset(self) -> None: ...

    def update(self, output: Any) -> None: ...

    def compute(self) -> None: ...

    def completed(self, engine: Engine, name: Any) -> None:
        engine.state.metrics[str(name)] = self.scores[engine.state.epoch - 1]


@dataclass
class Training:
    """A training with random order, augmentation, mixing and dropout, whose validation says what it is told."""

    folder: Path
    max_epochs: int = 3
    lr: float = 0.01
    batch_size: int = 4
    drop_last: bool = False
    num_workers: int = 0
    classes: int = 2
    scores: list[float] = field(default_factory=lambda: SCORES)
    metric: str = "score"
    record: dict[str, Any] = field(default_factory=lambda: {"method": "mixup"})
    transforms: list[Any] = field(default_factory=lambda: [RandGaussianNoised("image", 1.0), RandFlipd("image", 0.5)])
    more: list[str] = field(default_factory=list)  # further objects
    loss: torch.nn.Module = field(default_factory=MixupLoss)
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam
    schedule: Callable[[torch.optim.Optimizer, int], LRScheduler] = CosineAnnealingLR
    at: dict[int, Callable[[Engine], None]] = field(default_factory=dict)  # what happens after an iteration

    def run(self, seed: int = 0) -> SupervisedTrainer:
        """Train with other random states than the ones before; only the first run's seed may matter."""
        for spoil in (random.seed, torch.manual_seed, np.random.seed):
            spoil(seed)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.2), torch.nn.Linear(16, self.classes))
        optimizer = self.optimizer(network.parameters(), lr=self.lr)
        schedule = self.schedule(optimizer, self.max_epochs)
        pixels = torch.arange(192.0).reshape(12, 1, 4, 4).sin()
        items = [{"image": image, "label": i % 2} for i, image in enumerate(pixels)]
        dataset = Dataset(items, Compose(self.transforms))
        loader = DataLoader(
            dataset, self.num_workers, batch_size=self.batch_size, shuffle=True, drop_last=self.drop_last
        )
        best = BestModel(network)
        validator = SupervisedEvaluator(
            "cpu", DataLoader(Dataset(items[:1])), network, key_val_metric={self.metric: GivenScore(self.scores)},
            val_handlers=[best],
        )  # fmt: skip
        objects = {"network": network, "optimizer": optimizer, "lr_scheduler": schedule}
        objects |= dict.fromkeys(self.more, self.loss)
        by_metric = isinstance(schedule, ReduceLROnPlateau)
        resumable = ResumableTraining(self.folder, objects, best, self.record)
        trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=self.max_epochs,
            train_data_loader=loader,
            network=network,
            optimizer=optimizer,
            loss_function=self.loss,
            prepare_batch=PrepareBatchAttached(MixBatchd.mixup("image", num_classes=self.classes)),
            train_handlers=[
                FiniteLoss(),
                ValidationHandler(1, validator),
                LrScheduleHandler(
                    schedule, print_lr=False, step_transform=(lambda _: 1.0) if by_metric else lambda _: ()
                ),
                resumable,
            ],
        )
        for iteration, action in self.at.items():
            trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iteration), action)
        trainer.run()
        return trainer

    def last(self) -> dict[str, Any]:
        return torch.load(self.folder / "last.pt", weights_only=True)

    def model(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "model.pt", weights_only=True)


def assert_same(a: Any, b: Any) -> None:
    """Two nested states are equal bit for bit."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b


def interrupt(engine: Engine) -> None:
    raise KeyboardInterrupt


def in_a_child(function: Callable[[], Any]) -> int:
    """Exit status of a forked process that runs the function; below 0 the signal that ended it."""

    def body() -> None:
        torch.set_num_threads(1)
        function()

    child = multiprocessing.get_context("fork").Process(target=body)
    child.start()
    child.join(60)
    assert child.exitcode is not None, "the child hangs"
    return child.exitcode


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def spoil_the_weights(engine: Engine) -> None:
    next(engine.network.parameters()).data.fill_(torch.nan)
