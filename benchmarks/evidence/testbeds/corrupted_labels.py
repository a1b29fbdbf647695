# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Corrupted labels: images composed of one to four MNIST digits, a label for each class, and wrong training labels.

The digits are real, the images are not: a digit lies in each of one to four quarters of 40 × 40 pixels. A label says
whether a digit of its class is there, and flips with the rate of the noise. The labels of the validation data flip as
well, since a user has no others: the epoch is chosen by their macro AUC. Test labels are clean. No digit is in two
images. Images are the same in all runs; wrong labels depend on the seed of the run, and not on the method.

At a rate below 1/2 the label that is more probable stays the same one, so that 0.5 remains the threshold of F1.
Nothing is tuned: α and the mixed states are those of the biased MNIST, λ is that of a published multi-label setting.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import set_determinism
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn

from benchmarks.evidence.testbed import Row, Rows, Testbed, values
from benchmarks.evidence.testbeds import biased_mnist
from benchmarks.evidence.testbeds.biased_mnist import N_CLASSES, STAGES
from benchmarks.evidence.training import Stopwatch
from benchmarks.methods import chosen
from benchmarks.parts import Parts
from benchmarks.tables import interval, paired
from monai_debias.data import corrupt_labels, load_mnist

SPLITS = {"f1": "macro F1", "auc": "macro AUC"}
MAIN = ("plain", "mixup", "manifold_mixup", "flow_mixup", "spectral_decoupling")
METHODS = chosen(
    ("plain", "mixup", "manifold_mixup", "flow_mixup", "flow_mixup_replace", "spectral_decoupling"),
    {"spectral_decoupling": "lw-robust, multi-label: λ 0.2, mean over labels"},
)
QUARTER, JITTER = 20, 2  # pixels: no MNIST digit is larger than a quarter; it is moved from its middle by up to JITTER
ENOUGH = 5  # seeds, for a verdict


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    images: int = 5_000
    epochs: int = 15
    validated: int = 2_000
    evaluated: int = 3_000
    judged: int = 500  # images at a time
    batch: int = 64
    learning_rate: float = 3e-3


QUICK = Budget(images=256, epochs=2, validated=100, evaluated=100, judged=30)


@cache
def compose(section: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, 1, 40, 40) in [0, 1] of digits of a section of MNIST, and clean labels (n, 10) of 0 and 1."""
    digits, classes = (part.numpy() for part in load_mnist(section))
    rng = np.random.default_rng(list(section.encode()))
    counts = rng.integers(1, 5, n)
    if counts.sum() > len(digits):
        raise ValueError(f"{n} images need {counts.sum()} digits, and the {section} section has {len(digits)}.")
    chosen = np.split(rng.permutation(len(digits))[: counts.sum()], counts.cumsum()[:-1])
    images = np.zeros((n, 1, 2 * QUARTER, 2 * QUARTER), np.float32)
    labels = np.zeros((n, N_CLASSES), np.float32)
    for image, label, members in zip(images[:, 0], labels, chosen, strict=True):
        label[classes[members]] = 1
        for digit, quarter in zip(digits[members, 0], rng.permutation(4), strict=False):
            ink = digit[np.ix_(*(np.arange(at.min(), at.max() + 1) for at in digit.nonzero()))]
            free = QUARTER - np.array(ink.shape)
            corner = np.array(divmod(quarter, 2)) * QUARTER + free // 2 + rng.integers(-JITTER, JITTER + 1, 2)
            top, left = corner.clip(0, 2 * QUARTER - np.array(ink.shape))
            there = image[top : top + ink.shape[0], left : left + ink.shape[1]]
            np.maximum(there, ink, out=there)
    return torch.from_numpy(images), torch.from_numpy(labels)


def corrupt(labels: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
    """Labels (N, 10) of which each is wrong with a probability; at a lower rate, some of the same are wrong."""
    items = corrupt_labels([{"label": row} for row in labels.tolist()], rate, "flip", seed=seed)
    return torch.tensor([item["label"] for item in items])


def make_network() -> nn.Sequential:
    """The network of the biased MNIST, for 40 × 40 images."""
    network = biased_mnist.make_network()
    network.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 25, N_CLASSES))
    return network


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


def make_parts(network: nn.Module, samples: list[dict[str, Any]], seed: int) -> Parts:
    """The plain training, whose loss is for labels of their own."""
    return Parts(network, STAGES, N_CLASSES, samples, seed, nn.BCEWithLogitsLoss(reduction="none"))


def run(name: str, seed: int, strength: float = 0.2, budget: Budget = Budget()) -> Row:
    """Train and evaluate one method once.

    Args:
        name: of the method.
        seed: of the wrong labels, the weights, the batches and the mixing.
        strength: here, the rate of the label noise, in [0, 0.5).
        budget: images, epochs and so on.

    Returns:
        What stands in a line of the results: macro AUC and F1 on clean test labels for the network of the best
        validation AUC, the same for the network of the last epoch, AUC and F1 of each label for the former, and the
        seconds of processor time.
    """
    if not 0 <= strength < 0.5:
        raise ValueError(f"the strength, the rate of the label noise, is {strength}: expected 0 or more and below 0.5.")
    set_determinism(seed)
    network = make_network()
    images, labels = compose("training", budget.images)
    noisy = corrupt(labels, strength, seed=2 * seed)
    samples = [{"image": image, "label": label} for image, label in zip(images, noisy, strict=True)]
    images, labels = compose("validation", budget.validated)
    validation = Validation(network, images, corrupt(labels, strength, seed=2 * seed + 1), budget.judged)
    parts, stopwatch = make_parts(network, samples, seed).changed(METHODS[name].steps), Stopwatch()
    batches = torch.Generator().manual_seed(seed)  # of their own, so that mixing does not change their order
    parts.fit(budget.batch, budget.epochs, budget.learning_rate, stopwatch, validation, generator=batches)
    best, found = int(np.argmax(validation.auc)), {}
    for when, epoch in (("chosen", best), ("last", budget.epochs - 1)):
        network.load_state_dict(validation.states[epoch])
        found[when] = measure(network, *compose("test", budget.evaluated), budget.judged)
    row = {column: float(found["chosen"][column].mean()) for column in SPLITS}
    row |= {"epoch": best + 1, "validation_auc": validation.auc[best]}
    row |= {f"last_{column}": float(found["last"][column].mean()) for column in SPLITS}
    row |= {f"{column}_{k}": float(found["chosen"][column][k]) for column in ("auc", "f1") for k in range(N_CLASSES)}
    return {**row, "seconds": stopwatch.seconds}


def remarks(rows: Rows) -> str:
    """What the noise costs the plain network, and which methods recover some of it."""
    rates = sorted({row["strength"] for row in rows}, key=float)
    lines = [line for rate in rates for line in (harm(rows, rate), remedies(rows, rate)) if line]
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


def remedies(rows: Rows, rate: str) -> str:
    """The methods above plain at a rate, those below, and those of which it cannot be told."""
    verdicts: dict[str, list[str]] = {"above plain": [], "below plain": [], "not told apart": [], "too few seeds": []}
    for method in METHODS:
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
        verdicts[verdict].append(f"{METHODS[method].title} {interval(difference)}{at_the_end}")
    told = [f"{verdict}: {'; '.join(which)}" for verdict, which in verdicts.items() if which]
    return f"- Noise {float(rate):.0%}, {'. '.join(told)}." if told else ""


TESTBED = Testbed(
    name="corrupted_labels",
    methods=METHODS,
    main=MAIN,
    splits=SPLITS,
    axes={"last_f1": "macro F1, last epoch", "last_auc": "macro AUC, last epoch"},
    budget=Budget(),
    quick=QUICK,
    run=run,
    remarks=remarks,
    strengths=(0.0, 0.1, 0.2, 0.4),
    strength="rate of the label noise",
    measure="%",
)
