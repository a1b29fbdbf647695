# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The time of Mixup, Manifold Mixup and Flow-Mixup in a training step, compared with the work of the added rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.networks.nets import DenseNet121
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.networks import resnet18
from benchmarks.speed.timing import alternate, compared, record, shown, side_by_side
from monai_debias.engines import PrepareBatchAttached
from monai_debias.inferers import FlowMixupInferer
from monai_debias.losses import MixupLoss
from monai_debias.transforms import MixBatchd

N_CLASSES = 3
INFERER = FlowMixupInferer()

# network, the stages where Flow-Mixup appends rows, and the name of each variant's method
NETWORKS = {
    "ResNet18": (partial(resnet18, N_CLASSES), ["layer1", "layer2", "layer3", "layer4"]),
    "DenseNet121": (
        partial(DenseNet121, 2, 1, N_CLASSES),
        ["features.transition1", "features.transition2", "features.transition3", "features.norm5"],
    ),
}


WHERE = (
    "of the images",
    "after the first stage",
    "after the second stage",
    "after the third stage",
    "after the last stage",
    "after the second and the third stage",
    "of the images and after every stage",
)
STEP = "a training step"


def variants(network: nn.Module, states: list[str]) -> dict[str, MixBatchd]:
    """Mixup, Manifold Mixup, and Flow-Mixup at each of the states, at two and at all."""
    chosen = [["input"], *([state] for state in states), states[1:3], ["input", *states]]
    made = {
        "Mixup": MixBatchd.mixup("image", num_classes=N_CLASSES),
        "Manifold Mixup": MixBatchd.manifold_mixup("image", network=network, layers=states, num_classes=N_CLASSES),
    }
    for where, layers in zip(WHERE, chosen, strict=True):
        made[f"Flow-Mixup {where}"] = MixBatchd.flow_mixup(
            "image", network=network, layers=layers, num_classes=N_CLASSES
        )
    return made


def flops(network: nn.Module, image: torch.Tensor) -> int:
    """Multiplications and additions of a forward pass in training, with the rows that a mixup appends on the way."""
    with FlopCounterMode(display=False) as counter:
        INFERER(image, network)
    return counter.get_total_flops()


def mixup_speed(rounds: int = 7, size: int = 112, batch: int = 32, csv: str = "") -> None:
    """Time whole training steps, on all cores.

    The theoretical share is that of the arithmetic of a forward pass: with it, only what comes after a state sees the
    rows that Flow-Mixup appends there.

    Args:
        rounds: how often all variants of a table run in turn; one more round warms up and is not counted.
        size: width of the images.
        batch: number of images.
        csv: file of a line for each variant; none if empty.
    """
    rows = []
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n", flush=True)
    for name, (make, states) in NETWORKS.items():
        torch.manual_seed(0)
        network = make()
        data = {"image": torch.rand(batch, 1, size, size), "label": torch.randint(N_CLASSES, (batch,))}
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-5, momentum=0.9)

        def step(
            prepare: Callable, loss: nn.Module, network: nn.Module = network, optimizer: torch.optim.SGD = optimizer,
            data: dict = data,
        ) -> None:  # fmt: skip
            image, label = prepare(data)
            optimizer.zero_grad()
            loss(INFERER(image, network), label).backward()
            optimizer.step()

        plain_flops = flops(network, data["image"])
        steps = {"plain": partial(step, lambda batch: (batch["image"], batch["label"]), nn.CrossEntropyLoss())}
        shares = {"plain": 1.0}
        for title, mixup in variants(network, states).items():
            prepare = PrepareBatchAttached(mixup)
            shares[title] = flops(network, prepare(data)[0]) / plain_flops
            steps[title] = partial(step, prepare, MixupLoss(mixup.groups))
        seconds = alternate({title: (run, 1) for title, run in steps.items()}, rounds)
        rows += (found := compared(STEP, name, seconds, "plain", theoretical=shares))
        print(shown(found) + "\n", flush=True)
    record(rows, csv)
    print("\n\n".join(quoted(rows)))


def quoted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table that docs/mixup.md quotes."""
    return [side_by_side(rows, STEP, ("times", "theoretical"))]
