# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Trainings with wrong labels, of any multi-label data: the run of a method, and what is remarked on all runs.

The labels of the validation data are as wrong as those of the training, since a user has no others: the epoch is chosen
by their macro AUC. Test labels are clean. Wrong labels depend on the seed of the run, and not on the method.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import set_determinism
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn

from benchmarks.evidence.testbed import Row, Rows, values
from benchmarks.evidence.training import Stopwatch
from benchmarks.methods import Method
from benchmarks.parts import Parts
from benchmarks.tables import interval, paired
from monai_debias.data import corrupt_labels

SPLITS = {"f1": "macro F1", "auc": "macro AUC"}
AXES = {"last_f1": "macro F1, last epoch", "last_auc": "macro AUC, last epoch"}
STRENGTHS = (0.0, 0.1, 0.2, 0.4)
ENOUGH = 5  # seeds, for a verdict


class Labelled(NamedTuple):
    """The samples of a section."""

    image: torch.Tensor
    """(N, C, spatial...)."""
    label: torch.Tensor
    """(N, K), 0 and 1."""


class Budget(Protocol):
    """What a run has, whatever its method."""

    @property
    def epochs(self) -> int:
        """How often all samples are seen."""

    @property
    def batch(self) -> int:
        """Samples in a batch."""

    @property
    def learning_rate(self) -> float:
        """At the beginning."""

    @property
    def judged(self) -> int:
        """Images at a time when a network is measured."""


def corrupt(labels: torch.Tensor, rate: float, seed: int, mode: str = "flip") -> torch.Tensor:
    """Labels (N, K) of which some are wrong; at a lower rate, with ``"flip"`` some of the same."""
    items = corrupt_labels([{"label": row} for row in labels.tolist()], rate, mode, seed=seed)
    return torch.tensor([item["label"] for item in items])


@torch.no_grad()
def measure(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int
) -> dict[str, NDArray[np.float64]]:
    """AUC and, at a probability of 0.5, F1 of each label, of so many images at a time."""
    network.eval()
    logits = torch.cat([network(x) for x in images.split(batch)])
    if not bool((labels.any(0) & ~labels.all(0)).all()):
        raise ValueError(f"of {len(labels)} images some label has only one value, and no AUC: take more images.")
    truth = labels.int().numpy()
    f1 = f1_score(truth, (logits > 0).int().numpy(), average=None, zero_division=0.0)
    return {"auc": roc_auc_score(truth, logits.numpy(), average=None), "f1": f1}


class Validation:
    """After each epoch measures the network's macro AUC on validation data, and keeps it."""

    def __init__(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int) -> None:
        self.network, self.images, self.labels, self.batch = network, images, labels, batch
        self.auc: list[float] = []
        self.states: list[dict[str, torch.Tensor]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)

    def _validate(self, engine: Engine) -> None:
        found = measure(self.network, self.images, self.labels, self.batch)
        self.auc.append(float(found["auc"].mean()))
        self.states.append(copy.deepcopy(self.network.state_dict()))
        print(f"  epoch {engine.state.epoch}: validation AUC {self.auc[-1]:.3f}", flush=True)


def run_with_noise(
    method: Method,
    seed: int,
    rate: float,
    budget: Budget,
    load: Callable[[str], Labelled],
    make_parts: Callable[[list[dict[str, Any]], int], Parts],
    mode: str = "flip",
    also: Callable[[nn.Module, Sequence[dict[str, Any]]], Row] | None = None,
) -> Row:
    """Train and evaluate one method once.

    Args:
        method: what is trained.
        seed: of the wrong labels, the weights, the batches and the mixing.
        rate: of the label noise, in [0, 0.5): then the more probable label stays the same one, so that 0.5 remains the
            threshold of F1.
        budget: epochs and so on.
        load: the clean samples of ``"training"``, ``"validation"`` and ``"test"``.
        make_parts: the plain training of samples with a seed.
        mode: of the noise, as for :func:`monai_debias.data.corrupt_labels`.
        also: measures something more, of the network of the last epoch and the samples with their wrong labels.

    Returns:
        What stands in a line of the results: macro AUC and F1 on clean test labels for the network of the best
        validation AUC, the same for the network of the last epoch, AUC and F1 of each label for the former, and the
        seconds of processor time.
    """
    if not 0 <= rate < 0.5:
        raise ValueError(f"the strength, the rate of the label noise, is {rate}: expected 0 or more and below 0.5.")
    training, validated, test = (load(section) for section in ("training", "validation", "test"))
    noisy = corrupt(training.label, rate, 2 * seed, mode)
    samples = [{"image": image, "label": label} for image, label in zip(training.image, noisy, strict=True)]
    set_determinism(seed)
    parts, stopwatch = make_parts(samples, seed).changed(method.steps), Stopwatch()
    wrong = corrupt(validated.label, rate, 2 * seed + 1, mode)
    validation = Validation(parts.network, validated.image, wrong, budget.judged)
    batches = torch.Generator().manual_seed(seed)  # of their own, so that mixing does not change their order
    parts.fit(budget.batch, budget.epochs, budget.learning_rate, stopwatch, validation, generator=batches)
    best, found = int(np.argmax(validation.auc)), {}
    for when, epoch in (("chosen", best), ("last", budget.epochs - 1)):
        parts.network.load_state_dict(validation.states[epoch])
        found[when] = measure(parts.network, *test, budget.judged)
    row = {column: float(found["chosen"][column].mean()) for column in SPLITS}
    row |= {"epoch": best + 1, "validation_auc": validation.auc[best]}
    row |= {f"last_{column}": float(found["last"][column].mean()) for column in SPLITS}
    row |= {
        f"{column}_{k}": float(value) for column in ("auc", "f1") for k, value in enumerate(found["chosen"][column])
    }
    more = {} if also is None else also(parts.network, samples)
    return {**row, **more, "seconds": stopwatch.seconds}


def remarks(rows: Rows, methods: Mapping[str, Method]) -> str:
    """What the noise costs the plain network, and which methods recover some of it."""
    rates = sorted({row["strength"] for row in rows}, key=float)
    lines = [line for rate in rates for line in (harm(rows, rate), remedies(rows, rate, methods)) if line]
    note = (
        "The strength is the rate of the label noise. Differences are points on clean test labels, of macro AUC where "
        "nothing else is said, paired by seed; their 95 % intervals are not corrected for the number of comparisons."
    )
    return "\n".join([note, "", *lines])


def harm(rows: Rows, rate: str) -> str:
    """The plain network at a rate beside that of clean labels, and its last epoch beside the chosen one."""
    clean = next((row["strength"] for row in rows if float(row["strength"]) == 0), "0.0")
    parts = []
    if rate != clean:
        parts += [
            f"{title} {interval(difference)} against clean labels"
            for column, title in SPLITS.items()
            if (difference := paired(values(rows, "plain", rate, column), values(rows, "plain", clean, column)))
        ]
    late = paired(values(rows, "plain", rate, "last_auc"), values(rows, "plain", rate, "auc"))
    if late:
        parts.append(f"macro AUC of the last epoch {interval(late)} against the chosen one")
    return f"- Noise {float(rate):.0%}, plain: {'; '.join(parts)}." if parts else ""


def remedies(rows: Rows, rate: str, methods: Mapping[str, Method]) -> str:
    """The methods above plain at a rate, those below, and those of which it cannot be told."""
    verdicts: dict[str, list[str]] = {"above plain": [], "below plain": [], "not told apart": [], "too few seeds": []}
    for method in methods:
        found, plain = (values(rows, name, rate, "auc") for name in (method, "plain"))
        difference = paired(found, plain)
        if method == "plain" or difference is None:
            continue
        if len(found.keys() & plain.keys()) < ENOUGH:
            verdict = "too few seeds"
        elif difference.low > 0:
            verdict = "above plain"
        else:
            verdict = "below plain" if difference.high < 0 else "not told apart"
        late = paired(values(rows, method, rate, "last_auc"), values(rows, "plain", rate, "last_auc"))
        at_the_end = f", in the last epoch {interval(late)}" if late else ""
        verdicts[verdict].append(f"{methods[method].title} {interval(difference)}{at_the_end}")
    told = [f"{verdict}: {'; '.join(which)}" for verdict, which in verdicts.items() if which]
    return f"- Noise {float(rate):.0%}, {'. '.join(told)}." if told else ""
