# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbed of both ISNet papers: MNIST digits beside a mark whose place names their class; one run of a method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from monai.utils import set_determinism
from torch import nn

from benchmarks.evidence import verdict
from benchmarks.evidence.testbed import Row, Rows, Testbed
from benchmarks.evidence.training import AXES, GROUPS, Judge, Stopwatch, Training, Validation, judged
from benchmarks.methods import MAIN, METHODS
from benchmarks.parts import Parts, Step
from monai_debias.demo.biased_mnist import BiasedMNIST, load_biased_mnist

SPLITS = {"same": "same bias", "none": "no mark", "deceiving": "deceiving"}
N_CLASSES, STAGES = 10, ("stage1", "stage2", "stage3")


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    images: int = 50_000
    epochs: int = 3
    evaluated: int = 10_000
    explained: int = 1_000
    judged: int = 100  # images at a time
    batch: int = 64
    learning_rate: float = 3e-3


QUICK = Budget(images=320, epochs=1, evaluated=200, explained=50, judged=30)


def make_network() -> nn.Sequential:
    """For 32 × 32 images: a stem with stride 2, as ResNets have it, and two stages that end in max-pooling."""

    def stage(before: int, after: int, pools: bool) -> nn.Sequential:
        convolution = nn.Conv2d(before, after, 3, stride=1 if pools else 2, padding=1, bias=False)
        layers = [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pools else []))

    network = nn.Sequential()
    for name, before, after, pools in zip(STAGES, (1, 16, 32), (16, 32, 64), (False, True, True), strict=True):
        network.add_module(name, stage(before, after, pools))
    network.add_module("head", nn.Sequential(nn.Flatten(), nn.Linear(64 * 16, N_CLASSES)))
    return network


@cache
def load(section: str, n: int, **options: Any) -> BiasedMNIST:
    """The first n digits of a section."""
    return BiasedMNIST(*(part[:n] for part in load_biased_mnist(section, **options)))


def train(steps: Iterable[Step], seed: int, bias: float, strength: float, budget: Budget, *handlers: Any) -> Training:
    """Train a method once; no test split is loaded.

    Args:
        steps: of the method.
        seed: of weights, batches, masks and mixing.
        bias: share of the training images whose mark is that of their class.
        strength: the same of the validation images.
        budget: images, epochs and so on.
        handlers: further ones for the trainer.
    """
    set_determinism(seed)
    samples = load("training", budget.images, bias=bias).items()
    parts = Parts(make_network(), STAGES, N_CLASSES, samples, seed).changed(steps)
    judge = Judge(parts.network, batch=budget.judged, masked=parts.masked)
    validation = Validation(judge, load("validation", budget.evaluated, bias=strength), budget.explained)
    stopwatch = Stopwatch()
    parts.fit(budget.batch, budget.epochs, budget.learning_rate, stopwatch, validation, *handlers)
    return Training(judge, validation, stopwatch.seconds)


def run(name: str, seed: int, strength: float = 1.0, budget: Budget = Budget()) -> Row:
    """Train and judge one method once; the strength is the share of images whose mark is that of their class."""
    trained = train(METHODS[name].steps, seed, 0.1 if name == "unbiased" else strength, strength, budget)
    tests = {split: load("test", budget.evaluated, cue=split) for split in SPLITS}
    return judged(trained, tests, budget.explained)


def remarks(rows: Rows) -> str:
    """Whether the testbed counts, and what choosing the epoch by another rule would have given."""
    return verdict.remarks(TESTBED, rows)


TESTBED = Testbed(
    name="biased_mnist",
    methods={name: method for name, method in METHODS.items() if method.steps or name in MAIN},
    main=MAIN,
    splits=SPLITS,
    groups=GROUPS,
    axes=AXES,
    budget=Budget(),
    quick=QUICK,
    run=run,
    remarks=remarks,
    strength="share of the training images whose mark is that of their class",
    gap=0.3,
)
