# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Corrupted labels: images composed of one to four MNIST digits, a label for each class, and wrong training labels.

The digits are real, the images are not: a digit lies in each of one to four quarters of 40 × 40 pixels. A label says
whether a digit of its class is there, and flips with the rate of the noise. No digit is in two images. Images are the
same in all runs.

Nothing is tuned: α and the mixed states are those of the biased MNIST, λ is that of a published multi-label setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.evidence.label_noise import AXES, SPLITS, STRENGTHS, Labelled, remarks, run_with_noise
from benchmarks.evidence.testbed import Row, Testbed
from benchmarks.evidence.testbeds import biased_mnist
from benchmarks.evidence.testbeds.biased_mnist import N_CLASSES, STAGES
from benchmarks.methods import chosen
from benchmarks.parts import Parts
from monai_debias.data import load_mnist

MAIN = ("plain", "mixup", "manifold_mixup", "flow_mixup", "spectral_decoupling")
METHODS = chosen(
    ("plain", "mixup", "manifold_mixup", "flow_mixup", "flow_mixup_replace", "spectral_decoupling"),
    {"spectral_decoupling": "lw-robust, multi-label: λ 0.2, mean over labels"},
)
QUARTER, JITTER = 20, 2  # pixels: no MNIST digit is larger than a quarter; it is moved from its middle by up to JITTER


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


def make_network() -> nn.Sequential:
    """The network of the biased MNIST, for 40 × 40 images."""
    network = biased_mnist.make_network()
    network.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 25, N_CLASSES))
    return network


def make_parts(network: nn.Module, samples: list[dict[str, Any]], seed: int) -> Parts:
    """The plain training, whose loss is for labels of their own."""
    return Parts(network, STAGES, N_CLASSES, samples, seed, nn.BCEWithLogitsLoss(reduction="none"))


def run(name: str, seed: int, strength: float = 0.2, budget: Budget = Budget()) -> Row:
    """Train and evaluate one method once; the strength is the rate of the label noise, in [0, 0.5)."""
    images = {"training": budget.images, "validation": budget.validated, "test": budget.evaluated}
    return run_with_noise(
        METHODS[name],
        seed,
        strength,
        budget,
        lambda section: Labelled(*compose(section, images[section])),
        lambda samples, seed: make_parts(make_network(), samples, seed),
    )


TESTBED = Testbed(
    name="corrupted_labels",
    methods=METHODS,
    main=MAIN,
    splits=SPLITS,
    axes=AXES,
    budget=Budget(),
    quick=QUICK,
    run=run,
    remarks=partial(remarks, methods=METHODS),
    strengths=STRENGTHS,
    strength="rate of the label noise",
    measure="%",
)
