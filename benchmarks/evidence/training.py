# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A training that is measured: its time, the validation after each epoch, and the choice of an epoch's network.

Data are named tuples with ``image`` (N, 1, rows, columns) in [0, 1], ``label`` (N,) and ``mask``, of the images' shape,
or without rows if there are no masks.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_debias.audit import attention, decisions, robustness
from monai_debias.metrics import background_swap_consistency

AXES = {
    "background_relevance": "background relevance",
    "pointing_game": "pointing game",
    "swap_consistency": "swap consistency",
}
GROUPS = {"worst_group": "worst group", "gap": "gap"}  # a group is a class in a split; the gap is from first to last
# which epoch's network is taken, by in-distribution validation data
RULES: dict[str, Callable[[dict[str, float]], float]] = {
    "accuracy": lambda measured: measured["accuracy"],
    "consistency": lambda measured: measured["swap_consistency"] * measured["accuracy"],
    "attention": lambda measured: (1 - measured["background_relevance"]) * measured["accuracy"],
}


class Images(Protocol):
    """The images of a split, with all that is known of them."""

    image: torch.Tensor
    label: torch.Tensor
    mask: torch.Tensor


@dataclass
class Judge:
    """The package's measurements of a network, which sees images as ``normalize`` makes them, as columns of results."""

    network: nn.Module
    normalize: Callable[[torch.Tensor], torch.Tensor] = lambda images: images
    n_swaps: int = 1
    batch: int = 100
    """Images at a time: with a hundred a stage of a small network fits the cache of a processor."""
    masked: bool = False
    """Whether the network sees nothing but the region of interest."""

    def decisions(self, data: Images) -> torch.Tensor:
        """The class of each image, (N,)."""
        return decisions(self.network, self.batches(data), self.normalize)

    def accuracy(self, data: Images) -> float:
        """Share of right decisions."""
        return (self.decisions(data) == data.label).double().mean().item()

    def robustness(self, tests: dict[str, Images]) -> dict[str, float]:
        """Accuracy on every split, that of the worst class of all splits, and the gap from the first to the last."""
        found = robustness(self.network, {name: self.batches(data) for name, data in tests.items()}, self.normalize)
        return {**found.accuracy, "worst_group": found.worst_group, "gap": found.gap}

    def attention(self, data: Images) -> dict[str, float]:
        """Of the relevance of the predicted class: its share outside the mask, and how often its maximum is inside."""
        return attention(self.network, self.batches(data), self.normalize)._asdict()

    def consistency(self, data: Images) -> dict[str, float]:
        """What an exchange of backgrounds, in images where 0 is black, does to the predictions."""
        swap = background_swap_consistency(self.network, self.batches(data), self.n_swaps, normalize=self.normalize)
        return {"swap_consistency": swap.consistency, "swap_change": swap.probability_change}

    def batches(self, data: Images) -> list[dict[str, torch.Tensor]]:
        """Images and labels, and masks where the data have them."""
        image = data.image * data.mask if self.masked else data.image
        parts = {"image": image.split(self.batch), "label": data.label.split(self.batch)}
        if len(data.mask):
            parts["mask"] = data.mask.split(self.batch)
        return [dict(zip(parts, batch, strict=True)) for batch in zip(*parts.values(), strict=True)]


def first(data: Any, n: int | None) -> Any:
    """The first n images."""
    return type(data)(*(part[:n] for part in data))


class Stopwatch:
    """Processor time of the training with its loading of samples and a first stage, without the validation."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = time.process_time()

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer; a first stage has been trained by then."""
        self._lap()
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._lap)

    def _start(self) -> None:
        self._since = time.process_time()

    def _lap(self) -> None:
        now = time.process_time()
        self.seconds += now - self._since
        self._since = now


class Validation:
    """After each epoch measures the network on in-distribution data, attention on the first few, and keeps it."""

    def __init__(self, judge: Judge, data: Images, explained: int | None = None) -> None:
        self.judge, self.data, self.explained = judge, data, explained
        self.history: list[dict[str, float]] = []
        self.states: list[dict[str, torch.Tensor]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)

    def _validate(self, engine: Engine) -> None:
        measured = {"accuracy": self.judge.accuracy(self.data)}
        measured |= self.judge.attention(first(self.data, self.explained)) | self.judge.consistency(self.data)
        self.history.append(measured)
        self.states.append(copy.deepcopy(self.judge.network.state_dict()))
        print(f"  epoch {engine.state.epoch}: " + ", ".join(f"{k} {v:.3f}" for k, v in measured.items()), flush=True)


@dataclass
class Training:
    """A finished training: the network with all that was measured on in-distribution validation data."""

    judge: Judge
    validation: Validation
    seconds: float

    def take(self, rule: str) -> int:
        """Give the network the weights of the epoch that a rule chooses, the later of equals; returns the epoch."""
        scores = [RULES[rule](measured) for measured in self.validation.history]
        epoch = max(range(len(scores)), key=lambda n: (scores[n], n))
        self.judge.network.load_state_dict(self.validation.states[epoch])
        return epoch


def judged(trained: Training, tests: dict[str, Images], explained: int | None = None) -> dict[str, Any]:
    """A line of the results of a training.

    Args:
        trained: the training.
        tests: the test splits, of which the first has the bias of the training data: attention is measured on it.
        explained: how many of its images, None for all.

    Returns:
        For the epoch that has the best validation accuracy both axes: robustness, and where the relevance is; with what
        the validation had said. For those that the other rules choose the robustness. The processor time.
    """
    judge, biased = trained.judge, next(iter(tests.values()))
    row: dict[str, Any] = {}
    found: dict[int, dict[str, float]] = {}  # by epoch: rules often agree
    for rule in RULES:
        chosen = trained.take(rule)
        if chosen not in found:
            found[chosen] = judge.robustness(tests)
        row |= {f"{prefix(rule)}{column}": value for column, value in found[chosen].items()}
        row[f"{prefix(rule)}epoch"] = chosen + 1
        if rule == "accuracy":
            row |= {f"validation_{key}": value for key, value in trained.validation.history[chosen].items()}
            row |= judge.attention(first(biased, explained)) | judge.consistency(biased)
    return {**row, "seconds": trained.seconds}


def prefix(rule: str) -> str:
    """Of the columns whose epoch a rule chose."""
    return "" if rule == "accuracy" else f"{rule}_rule_"
