# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What spectral decoupling costs, beside a plain training step of the same network on the same batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.speed.isnet import resnet18
from benchmarks.speed.timing import alternate
from monai_debias.losses import SpectralDecouplingLoss

GOAL = 0.01  # of a plain training step
LOSSES: dict[str, Callable[[int], nn.Module]] = {
    "plain": lambda n_classes: nn.CrossEntropyLoss(),
    "numbers": lambda n_classes: SpectralDecouplingLoss(),
    "values per class": lambda n_classes: SpectralDecouplingLoss(None, [0.1] * n_classes, [0.0] * n_classes),
}


def step_table(title: str, seconds: dict[str, np.ndarray]) -> str:
    """Markdown: seconds of a whole step, and in relation to the plain step of the same round."""
    lines = [f"| {title} | s per step | times plain | quartiles |", "|---|---:|---:|---:|"]
    for name, values in seconds.items():
        low, middle, high = np.quantile(values / seconds["plain"], [0.25, 0.5, 0.75])
        lines.append(f"| {name} | {np.median(values):.3f} | {middle:.3f} | {low:.3f} … {high:.3f} |")
    return "\n".join(lines)


def loss_table(title: str, seconds: dict[str, np.ndarray], step: float) -> str:
    """Markdown: the loss alone, and its time beyond that of the plain loss as a share of a plain step."""
    lines = [f"| {title} | µs | more, % of a plain step | quartiles | |", "|---|---:|---:|---:|---|"]
    for name, values in seconds.items():
        low, middle, high = np.quantile((values - seconds["plain"]) / step, [0.25, 0.5, 0.75])
        reached = "" if name == "plain" else "reached" if middle < GOAL else "missed"
        cells = [f"{1e6 * np.median(values):.0f}", f"{100 * middle:.3f}", f"{100 * low:.3f} … {100 * high:.3f}"]
        lines.append(f"| {name} | " + " | ".join([*cells, reached]) + " |")
    return "\n".join(lines)


def spectral_decoupling_speed(rounds: int = 21, repetitions: int = 500, n_classes: int = 3) -> None:
    """Time whole training steps, and the losses with their backward pass alone, on all cores.

    Args:
        rounds: how often all variants of a table run in turn; one more round warms up and is not counted.
        repetitions: of a loss within a round; a single one is too short for the clock.
        n_classes: how many classes there are.
    """
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n", flush=True)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(32, 1, 112, 112, generator=generator)
    label = torch.randint(n_classes, (32,), generator=generator)
    logits = torch.randn(32, n_classes, generator=generator).requires_grad_()
    torch.manual_seed(0)
    network = resnet18(n_classes)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-5, momentum=0.9)

    def step(loss: nn.Module) -> None:
        optimizer.zero_grad()
        loss(network(image), label).backward()
        optimizer.step()

    def loss_alone(loss: nn.Module) -> None:
        for _ in range(repetitions):
            logits.grad = None
            loss(logits, label).backward()

    losses = {name: make(n_classes) for name, make in LOSSES.items()}
    steps = alternate({name: (partial(step, loss), 1) for name, loss in losses.items()}, rounds)
    print(step_table(f"ResNet18, 32 x 112 x 112, {n_classes} classes", steps) + "\n", flush=True)
    alone = alternate({name: (partial(loss_alone, loss), repetitions) for name, loss in losses.items()}, rounds)
    print(loss_table("forward and backward of the loss alone", alone, float(np.median(steps["plain"]))), flush=True)
