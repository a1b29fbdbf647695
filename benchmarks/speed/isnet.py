# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The time of training an ISNet, compared with plain training steps of the same network on the same batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import pairwise, product
from typing import Any

import captum.attr
import numpy as np
import torch
from monai.visualize import GradCAM, OcclusionSensitivity
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.networks import NETWORKS, ON_TWO_CORES
from benchmarks.speed.timing import alternate, compared, record, shown, side_by_side
from monai_debias.attached import attach
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss
from monai_debias.relevance import LRP

Step = Callable[[], object]
STEP, EXPLANATION = "a training step", "an explanation"

# by variant, in plain steps: what it must take at least (a step counts as three forward passes), and the goal
GOALS: dict[str, tuple[float, float]] = {
    "selective": (2.0, 2.2),
    "selective, a quarter of the masks": (1.25, 1.35),
    "selective, every 4th iteration": (1.25, 1.3),
    "dual": (4.0, 4.4),
}


def disk(batch: int, size: int) -> torch.Tensor:
    """Masks (batch, 1, size, size): a disk of half the image's width."""
    axis = torch.linspace(-1, 1, size)
    return (axis[:, None] ** 2 + axis**2 < 0.25).float().expand(batch, 1, -1, -1)


def training_steps(
    network: nn.Module, size: int, batch: int, n_classes: int, original: bool, device: str = "cpu"
) -> dict[str, Step]:
    """One whole training step of each variant: forward, loss, backward, clipping, optimiser."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 1, size, size, generator=generator).to(device)
    label = torch.randint(n_classes, (batch,), generator=generator).to(device)
    mask = disk(batch, size).to(device)
    quarter = torch.arange(batch // 4, device=device) * 4
    flags = torch.zeros(batch, dtype=torch.bool, device=device).index_fill(0, quarter, True)
    network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-5, momentum=0.9)
    cross_entropy, isnet_loss = nn.CrossEntropyLoss(), ISNetLRPLoss().to(device)

    def step(compute_loss: Callable[[], torch.Tensor]) -> float:
        optimizer.zero_grad()
        loss = compute_loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1e3)
        optimizer.step()
        return loss.item()  # for which a GPU has to end the step

    def isnet(inferer: ISNetInferer, rows: torch.Tensor | None = None) -> Step:
        target = attach(label, mask=mask, has_mask=None if rows is None else flags)
        return partial(step, lambda: isnet_loss(inferer(image, network, rows=rows, masks=mask), target))

    every_fourth = isnet(ISNetInferer(interval=4))
    steps = {
        "plain": partial(step, lambda: cross_entropy(network(image), label)),
        "selective": isnet(ISNetInferer("selective")),
        "selective, a quarter of the masks": isnet(ISNetInferer("selective"), quarter),
        "selective, every 4th iteration": lambda: [every_fourth() for _ in range(4)],
        "dual": isnet(ISNetInferer("dual")),
    }
    return {**steps, f"original, {n_classes} classes": isnet(ISNetInferer("all"))} if original else steps


def peak_memory(run: Step) -> int:
    """The most bytes that torch allocates while a function runs, beyond those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    changes = [e.nbytes() for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return int(np.cumsum(changes).max())


def goal_of(name: str, n_classes: int) -> tuple[float, float]:
    return GOALS.get(name, (1.0 + n_classes, 1.1 * (1 + n_classes)))


def training_rows(of: str, steps: dict[str, Step], n_classes: int, rounds: int) -> list[dict[str, Any]]:
    """Times and memory beside the plain step of the same round, with limit and goal."""
    seconds = alternate({name: (run, 4 if "4th" in name else 1) for name, run in steps.items()}, rounds)
    memory = {name: peak_memory(run) for name, run in steps.items()}
    bounds = {name: (np.nan, np.nan) if name == "plain" else goal_of(name, n_classes) for name in steps}
    return compared(
        STEP,
        of,
        seconds,
        "plain",
        limit={name: limit for name, (limit, _) in bounds.items()},
        goal={name: goal for name, (_, goal) in bounds.items()},
        memory={name: memory[name] / memory["plain"] for name in steps},
    )


class Convolutions(nn.Module):
    """What captum's LRP can take: each activation a module of its own, and only modules that it knows."""

    def __init__(self) -> None:
        super().__init__()
        channels, layers = (1, 32, 64, 128, 128), []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(channels[-1], 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, 3)."""
        return self.classifier(self.features(x).flatten(1))


def explanation_rows(
    of: str, network: nn.Module, last_layer: str, size: int, batch: int, rounds: int
) -> list[dict[str, Any]]:
    """Times of an explanation of a batch, beside a forward pass without gradients."""
    network.eval()
    image = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(0))
    classes = torch.zeros(batch, dtype=torch.long)
    forward = torch.no_grad()(lambda: network(image))
    ours = LRP(network)
    grad_cam = GradCAM(deepcopy(network), last_layer)  # its hooks stay on the network
    occlusion = OcclusionSensitivity(network, mask_size=16, verbose=False)
    variants: dict[str, tuple[Step, int]] = {
        "forward": (forward, batch),
        "LRP, one map": (lambda: ours(image, 0), batch),
        "LRP, one map, zB": (lambda: LRP(network, input_rule="zb")(image, 0), batch),
        "MONAI GradCAM": (lambda: [grad_cam(x[None], class_idx=0) for x in image], batch),
        "MONAI OcclusionSensitivity": (lambda: occlusion(image[:1]), 1),
    }
    if isinstance(network, Convolutions):
        theirs = captum.attr.LRP(network)
        variants["captum LRP"] = (lambda: theirs.attribute(image.clone().requires_grad_(), target=classes), batch)
    nothing = dict.fromkeys(variants, np.nan)
    return compared(
        EXPLANATION, of, alternate(variants, rounds), "forward", limit=nothing, goal=nothing, memory=nothing
    )


def isnet_speed(
    rounds: int = 7,
    sizes: tuple[int, ...] = (112, 224),
    classes: tuple[int, ...] = (3, 10, 15),
    networks: tuple[str, ...] = ON_TWO_CORES,
    images: int = 32,
    device: str = "cpu",
    csv: str = "",
) -> None:
    """Time whole training steps, and on a CPU explanations, on all cores.

    Args:
        rounds: how often all variants of a table run in turn; one more round warms up and is not counted.
        sizes: widths of the images.
        classes: how many classes there are; beyond the first of these only the original ISNet is timed, at the first
            size.
        networks: which of the networks are trained.
        images: how many there are in a batch of the first size; of another, as many as have the same number of pixels.
        device: where the networks are trained, "cpu" or "cuda".
        csv: file of a line for each variant; none if empty.
    """
    os.environ["PYTHONWARNINGS"] = "ignore"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n", flush=True)
    rows = []
    for name in networks:
        for size, n_classes in product(sizes, classes):
            if size != sizes[0] and n_classes != classes[0]:
                continue
            torch.manual_seed(0)
            batch = images * sizes[0] ** 2 // size**2
            network = NETWORKS[name](size, n_classes)
            steps = training_steps(network, size, batch, n_classes, original=size == sizes[0], device=device)
            if n_classes != classes[0]:
                steps = {key: run for key, run in steps.items() if key == "plain" or key.startswith("original")}
            usual = size == sizes[0] and n_classes == classes[0]
            of = name if usual else f"{name}, {batch} x {size} x {size}, {n_classes} classes"
            rows += (found := training_rows(of, steps, n_classes, rounds))
            record(rows, csv, device=device)
            print(shown(found) + "\n", flush=True)
    for name, (network, last_layer) in explained_networks().items() if device == "cpu" else ():
        rows += (found := explanation_rows(name, network, last_layer, 112, 8, rounds))
        print(shown(found) + "\n", flush=True)
    record(rows, csv, device=device)
    print("\n\n".join(quoted(rows)))


def explained_networks() -> dict[str, tuple[nn.Module, str]]:
    """Networks, and the layer that Grad-CAM takes."""
    return {
        "ResNet18": (NETWORKS["ResNet18"](112, 3), "layer4"),
        "DenseNet121": (NETWORKS["DenseNet121"](112, 3), "class_layers.relu"),
        "four convolutions": (Convolutions(), "features.9"),
    }


def quoted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tables that docs/isnet.md quotes."""
    usual = [row for row in rows if "," not in row["of"]]
    tables = {STEP: (("times", "memory"), ("limit", "goal")), EXPLANATION: (("times",), ())}
    measured = {row["table"] for row in usual}
    return [side_by_side(usual, what, *columns) for what, columns in tables.items() if what in measured]
