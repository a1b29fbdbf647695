# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbed of both ISNet papers: MNIST digits beside a mark whose place names their class; one run of a method."""

from __future__ import annotations

import copy
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from evidence_methods import MAIN, METHODS, Method, sample_transforms, trainer_parts, training_samples
from evidence_report import groups, spread, values
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.transforms import Compose, SelectItemsd
from monai.utils import set_determinism
from torch import nn

from monai_debias.demo.biased_mnist import BiasedMNIST, biased_mnist
from monai_debias.metrics import background_relevance, background_swap_consistency, pointing_game
from monai_debias.relevance import LRP

__all__ = ["AXES", "MAIN", "MEASURE", "METHODS", "QUICK", "SPLITS", "STRENGTH", "STRENGTHS", "Budget", "remarks", "run"]

STRENGTHS = (1.0,)
STRENGTH = "share of the training images whose mark is that of their class"
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
    epochs: int = 3
    evaluated: int = 10_000
    explained: int = 1_000
    batch: int = 64
    learning_rate: float = 3e-3


QUICK = Budget(images=320, epochs=1, evaluated=200, explained=50)


def make_network() -> nn.Sequential:
    """For 32 × 32 images: a stem with stride 2, as ResNets have it, and two stages that end in max-pooling."""

    def stage(before: int, after: int, stride: int) -> nn.Sequential:
        convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        layers = [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if stride == 1 else []))

    network = nn.Sequential()
    for name, before, after, stride in zip(STAGES, (1, 16, 32), (16, 32, 64), (2, 1, 1), strict=True):
        network.add_module(name, stage(before, after, stride))
    network.add_module("head", nn.Sequential(nn.Flatten(), nn.Linear(64 * 16, N_CLASSES)))
    return network


@cache
def load(section: str, n: int, **options: Any) -> BiasedMNIST:
    """The first n digits of a section."""
    return BiasedMNIST(*(part[:n] for part in biased_mnist(section, **options)))


def batches(data: BiasedMNIST) -> list[dict[str, torch.Tensor]]:
    pairs = zip(data.image.split(500), data.mask.split(500), strict=True)
    return [{"image": image, "mask": mask} for image, mask in pairs]


@dataclass
class Judge:
    """What is measured of a network."""

    network: nn.Module

    @torch.no_grad()
    def accuracy(self, data: BiasedMNIST) -> float:
        self.network.eval()
        predicted = torch.cat([self.network(x).argmax(1) for x in data.image.split(500)])
        return (predicted == data.label).float().mean().item()

    def attention(self, data: BiasedMNIST) -> dict[str, float]:
        """Of the relevance of the predicted class: its share outside the mask, and how often its maximum is inside."""
        self.network.eval()
        shares, hits = [], []
        for batch in batches(data):
            x = batch["image"]
            _, relevance = LRP(self.network)(x, target=self.network(x).argmax(1))
            there = relevance.flatten(1).abs().amax(1) > 0
            relevance, mask = relevance[there, 0], batch["mask"][there]
            shares.append(background_relevance(relevance, mask))
            hits.append(pointing_game(relevance, mask).float())
        return {"background_relevance": torch.cat(shares).mean().item(), "pointing_game": torch.cat(hits).mean().item()}

    def consistency(self, data: BiasedMNIST) -> dict[str, float]:
        """What an exchange of backgrounds does to the predictions."""
        swap = background_swap_consistency(self.network, batches(data))
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


@dataclass
class Training:
    """A finished training: the network with all that was measured on in-distribution validation data."""

    judge: Judge
    validation: Validation
    seconds: float

    def take(self, rule: str) -> int:
        """Give the network the weights of the epoch that a rule chooses; returns the epoch, from 0."""
        scores = [RULES[rule](measured) for measured in self.validation.history]
        epoch = max(range(len(scores)), key=scores.__getitem__)
        self.judge.network.load_state_dict(self.validation.states[epoch])
        return epoch


def train(method: Method, seed: int, bias: float, strength: float, budget: Budget) -> Training:
    """Train a method once; no test split is loaded.

    Args:
        method: what to train.
        seed: of weights, batches, masks and mixing.
        bias: share of the training images whose mark is that of their class.
        strength: the same of the validation images.
        budget: images, epochs and so on.
    """
    set_determinism(seed)
    network = make_network()
    judge = Judge(network)
    optimizer = torch.optim.Adam(network.parameters(), budget.learning_rate)
    samples = training_samples(method, load("training", budget.images, bias=bias).items(), seed)
    parts = trainer_parts(method, network, N_CLASSES, STAGES)
    transforms = Compose([*sample_transforms(method, samples), SelectItemsd(parts.keys)])
    loader = DataLoader(Dataset(samples, transforms), batch_size=budget.batch, shuffle=True, drop_last=True)
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
    return Training(judge, validation, stopwatch.seconds)


def run(name: str, seed: int, strength: float = 1.0, budget: Budget = Budget()) -> dict[str, Any]:
    """Train and evaluate one method once; the strength is the share of images whose mark is that of their class.

    Returns:
        What stands in a line of the results: the test splits and both axes for the network of the best validation
        accuracy, the accuracies for those that the other rules choose, and the seconds of processor time.
    """
    trained = train(METHODS[name], seed, 0.1 if name == "unbiased" else strength, strength, budget)
    judge, tests = trained.judge, {split: load("test", budget.evaluated, cue=split) for split in SPLITS}
    row: dict[str, Any] = {}
    for rule in RULES:
        chosen = trained.take(rule)
        found = {split: judge.accuracy(data) for split, data in tests.items()}
        prefix = "" if rule == "accuracy" else f"{rule}_rule_"
        row |= {f"{prefix}{split}": value for split, value in found.items()} | {f"{prefix}epoch": chosen + 1}
        if rule == "accuracy":
            row |= {f"validation_{key}": value for key, value in trained.validation.history[chosen].items()}
            explained = BiasedMNIST(*(part[: budget.explained] for part in tests["same"]))
            row |= judge.attention(explained) | judge.consistency(tests["same"])
    return {**row, "seconds": trained.seconds}


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
