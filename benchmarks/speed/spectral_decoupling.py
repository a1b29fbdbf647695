# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The time of spectral decoupling, compared with a plain training step of the same network on the same batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.speed.networks import resnet18
from benchmarks.speed.timing import alternate, compared, record, shown
from benchmarks.tables import markdown
from monai_debias.losses import SpectralDecouplingLoss

GOAL = 1.0  # percent of a plain training step
STEP, ALONE = "a training step", "the loss alone, forward and backward"
LOSSES: dict[str, Callable[[int], nn.Module]] = {
    "plain": lambda n_classes: nn.CrossEntropyLoss(),
    "numbers": lambda n_classes: SpectralDecouplingLoss(),
    "values per class": lambda n_classes: SpectralDecouplingLoss(None, [0.1] * n_classes, [0.0] * n_classes),
}


def spectral_decoupling_speed(rounds: int = 21, repetitions: int = 500, n_classes: int = 3, csv: str = "") -> None:
    """Time whole training steps, and the losses with their backward pass alone, on all cores.

    Args:
        rounds: how often all variants of a table run in turn; one more round warms up and is not counted.
        repetitions: of a loss within a round; a single one is too short for the clock.
        n_classes: how many classes there are.
        csv: file of a line for each variant; none if empty.
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
    alone = alternate({name: (partial(loss_alone, loss), repetitions) for name, loss in losses.items()}, rounds)
    plain = float(np.median(steps["plain"]))
    share = {name: float(100 * np.median(values - alone["plain"]) / plain) for name, values in alone.items()}
    unknown = dict.fromkeys(losses, np.nan)
    rows = compared(STEP, "ResNet18", steps, "plain", percent_of_a_step=unknown)
    rows += compared(ALONE, "ResNet18", alone, "plain", percent_of_a_step=share)
    for what in (STEP, ALONE):
        print(shown([row for row in rows if row["table"] == what], digits=3) + "\n", flush=True)
    for name in list(LOSSES)[1:]:
        print(
            f"- below {GOAL} % of a step, {name}: {'reached' if share[name] < GOAL else 'missed'} ({share[name]:.3f})"
        )
    record(rows, csv)
    print("\n\n".join(quoted(rows)))


def quoted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table that docs/spectral_decoupling.md quotes."""
    lines = []
    for name in list(LOSSES)[1:]:
        step, alone = (next(r for r in rows if r["table"] == what and r["variant"] == name) for what in (STEP, ALONE))
        low, middle, high = (float(step[key]) for key in ("low", "times", "high"))
        cells = [f"{middle:.3f}", f"{low:.3f} … {high:.3f}", f"{1e6 * float(alone['seconds']):.0f}"]
        lines.append([name, *cells, f"{float(alone['percent_of_a_step']):.2f}"])
    return [markdown(["λ as", "step, times plain", "quartiles", "loss alone, µs", "more, % of a step"], lines)]
