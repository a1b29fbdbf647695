# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbed of both ISNet papers: MNIST digits beside a mark whose place names their class; one run of a method."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from evidence_methods import MAIN, METHODS, Method, sample_transforms, trainer_parts, training_samples
from evidence_report import groups, spread, values
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.transforms import Compose, Lambdad, SelectItemsd
from monai.utils import set_determinism
from torch import nn

from monai_debias.demo.biased_mnist import BiasedMNIST, biased_mnist
from monai_debias.metrics import background_relevance, background_swap_consistency, pointing_game
from monai_debias.relevance import LRP

__all__ = ["AXES", "MAIN", "MEASURE", "METHODS", "QUICK", "SPLITS", "STRENGTHS", "Budget", "remarks", "run"]

STRENGTHS = (1.0,)
MEASURE = "accuracy, %"

SPLITS = {"same": "same bias", "none": "no mark", "deceiving": "deceiving"}
AXES = {
    "background_relevance": "background relevance",
    "pointing_game": "pointing game",
    "swap_consistency": "swap consistency",
}
N_CLASSES, STAGES = 10, ("stage1", "stage2", "stage3")


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    images: int = 50_000
    epochs: int = 4
    evaluated: int = 10_000
    explained: int = 1_000
    batch: int = 64
    learning_rate: float = 3e-3


QUICK = Budget(images=320, epochs=1, evaluated=200, explained=50)


def make_network() -> nn.Sequential:
    """Three stages of convolution, batch norm, ReLU and pooling, for 32 × 32 images."""

    def stage(before: int, after: int) -> nn.Sequential:
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2))

    network = nn.Sequential()
    for name, before, after in zip(STAGES, (1, 16, 32), (16, 32, 64), strict=True):
        network.add_module(name, stage(before, after))
    network.add_module("head", nn.Sequential(nn.Flatten(), nn.Linear(64 * 16, N_CLASSES)))
    return network


def signed(image: torch.Tensor) -> torch.Tensor:
    """From [0, 1] to [-1, 1]."""
    return 2 * image - 1


@cache
def load(section: str, n: int, **options: Any) -> BiasedMNIST:
    """The first n digits of a section."""
    return BiasedMNIST(*(part[:n] for part in biased_mnist(section, **options)))


def batches(data: BiasedMNIST) -> list[dict[str, torch.Tensor]]:
    pairs = zip(data.image.split(500), data.mask.split(500), strict=True)
    return [{"image": image, "mask": mask} for image, mask in pairs]


@dataclass
class Judge:
    """What is measured of a network, on images in [0, 1] that are scaled as in its training."""

    network: nn.Module
    scale: Callable[[torch.Tensor], torch.Tensor]

    @torch.no_grad()
    def accuracy(self, data: BiasedMNIST) -> float:
        self.network.eval()
        predicted = torch.cat([self.network(self.scale(x)).argmax(1) for x in data.image.split(500)])
        return (predicted == data.label).float().mean().item()

    def attention(self, data: BiasedMNIST) -> dict[str, float]:
        """Of the relevance of the predicted class: its share outside the mask, and how often its maximum is inside."""
        self.network.eval()
        shares, hits = [], []
        for batch in batches(data):
            x = self.scale(batch["image"])
            _, relevance = LRP(self.network)(x, target=self.network(x).argmax(1))
            there = relevance.flatten(1).abs().amax(1) > 0
            relevance, mask = relevance[there, 0], batch["mask"][there]
            shares.append(background_relevance(relevance, mask))
            hits.append(pointing_game(relevance, mask).float())
        return {"background_relevance": torch.cat(shares).mean().item(), "pointing_game": torch.cat(hits).mean().item()}

    def consistency(self, data: BiasedMNIST) -> dict[str, float]:
        """What an exchange of backgrounds does to the predictions."""
        swap = background_swap_consistency(self.network, batches(data), normalize=self.scale)
        return {"swap_consistency": swap.consistency, "swap_change": swap.probability_change}


class Stopwatch:
    """Processor time of the training with its loading of samples, without the validation."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._lap)

    def _start(self) -> None:
        self._since = time.process_time()

    def _lap(self) -> None:
        now = time.process_time()
        self.seconds += now - self._since
        self._since = now


class Validation:
    """After each epoch measures the network on in-distribution data, and keeps it."""

    def __init__(self, judge: Judge, data: BiasedMNIST, explained: int) -> None:
        self.judge, self.data = judge, data
        self.explained = BiasedMNIST(*(part[:explained] for part in data))
        self.history: list[dict[str, float]] = []
        self.states: list[dict[str, torch.Tensor]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)

    def _validate(self, engine: Engine) -> None:
        values = {"accuracy": self.judge.accuracy(self.data)}
        values |= self.judge.attention(self.explained) | self.judge.consistency(self.data)
        self.history.append(values)
        self.states.append(copy.deepcopy(self.judge.network.state_dict()))
        print(f"  epoch {engine.state.epoch}: " + ", ".join(f"{k} {v:.3f}" for k, v in values.items()), flush=True)


# which epoch's network is taken, by in-distribution validation data
RULES = {
    "accuracy": lambda values: values["accuracy"],
    "consistency": lambda values: values["swap_consistency"] * values["accuracy"],
    "attention": lambda values: (1 - values["background_relevance"]) * values["accuracy"],
}


def run(name: str, seed: int, strength: float = 1.0, budget: Budget = Budget()) -> dict[str, Any]:
    """Train and evaluate one method once; the strength is the share of images whose mark is that of their class.

    Returns:
        What stands in a line of the results: the test splits and both axes for the network of the best validation
        accuracy, the accuracies for those that the other rules choose, and the seconds of processor time.
    """
    method: Method = METHODS[name]
    set_determinism(seed)
    network = make_network()
    judge = Judge(network, signed if method.signed else nn.Identity())
    optimizer = torch.optim.Adam(network.parameters(), budget.learning_rate)
    items = load("training", budget.images, bias=0.1 if name == "unbiased" else strength).items()
    samples = training_samples(method, items, seed)
    parts = trainer_parts(method, network, N_CLASSES, STAGES)
    transforms = [*sample_transforms(method, samples), Lambdad("image", judge.scale), SelectItemsd(parts.keys)]
    loader = DataLoader(Dataset(samples, Compose(transforms)), batch_size=budget.batch, shuffle=True, drop_last=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, budget.epochs * len(loader))
    validation = Validation(judge, load("validation", budget.evaluated, bias=strength), budget.explained)
    stopwatch, arguments = Stopwatch(), parts.arguments()
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=budget.epochs,
        train_data_loader=loader,
        network=network,
        optimizer=optimizer,
        decollate=False,
        **{**arguments, "train_handlers": [*arguments["train_handlers"], stopwatch, validation]},
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: schedule.step())
    trainer.run()
    tests = {split: load("test", budget.evaluated, cue=split) for split in SPLITS}
    row: dict[str, Any] = {}
    for rule, score in RULES.items():
        chosen = max(range(budget.epochs), key=lambda epoch: score(validation.history[epoch]))
        network.load_state_dict(validation.states[chosen])
        found = {split: judge.accuracy(data) for split, data in tests.items()}
        prefix = "" if rule == "accuracy" else f"{rule}_rule_"
        row |= {f"{prefix}{split}": value for split, value in found.items()} | {f"{prefix}epoch": chosen + 1}
        if rule == "accuracy":
            row |= {f"validation_{key}": value for key, value in validation.history[chosen].items()}
            explained = BiasedMNIST(*(part[: budget.explained] for part in tests["same"]))
            row |= judge.attention(explained) | judge.consistency(tests["same"])
    return {**row, "seconds": stopwatch.seconds}


def remarks(rows: list[dict[str, str]]) -> str:
    """Whether the testbed counts, and what choosing the epoch by another rule would have given."""
    return f"{diagnosis(rows)}\n\n{selection(rows)}"


def diagnosis(rows: list[dict[str, str]]) -> str:
    """Whether the plain network is a shortcut learner in every run, without which the testbed says nothing."""
    lines = []
    for strength in sorted({row["strength"] for row in rows if row["method"] == "plain"}, key=float, reverse=True):
        same, deceiving = (values(rows, "plain", strength, column) for column in ("same", "deceiving"))
        broken = [same[seed] > 0.9 and same[seed] - deceiving[seed] > 0.3 for seed in same]
        outside = spread(values(rows, "plain", strength, "background_relevance"))
        lines.append(
            f"- Strength {float(strength):g}: the plain network is a shortcut learner in {sum(broken)} of "
            f"{len(broken)} runs (above 90 % on the same bias, more than 30 points less on deceiving marks), and has "
            f"{outside} % of its relevance in the background; the testbed "
            + ("counts." if all(broken) else "does not count.")
        )
    return "\n".join(lines)


def selection(rows: list[dict[str, str]]) -> str:
    """Markdown: accuracy on the deceiving split by the rule that chose the epoch, on in-distribution data."""
    rules = {
        "accuracy": "",
        "accuracy and swap consistency": "consistency_rule_",
        "accuracy and attention": "attention_rule_",
    }
    head = ["strength", "epoch chosen by", *rules]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * len(rules)]
    for strength, method in groups(sys.modules[__name__], rows):
        cells = [spread(values(rows, method, strength, f"{prefix}deceiving")) for prefix in rules.values()]
        lines.append("| " + " | ".join([f"{float(strength):g}", METHODS[method].title, *cells]) + " |")
    return "\n".join(lines)
