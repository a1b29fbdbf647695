# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What each of the processes of test_prepare_batch_flow_mixup does: steps of training, distributed over them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from monai_debias.engines.prepare_batch import PrepareBatchAttached
from monai_debias.inferers import FlowMixupInferer
from monai_debias.losses.mixup import MixupLoss
from monai_debias.transforms.mix_batch_dictionary import MixBatchd

LAYERS = ["input", "0"]
SETTINGS = {"flow_mixup": False, "manifold_mixup": True}  # whether the transform is given the wrapped network
STEPS = 3


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def part(rank: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return {
        "image": torch.rand(3, 4, generator=generator, dtype=torch.double),
        "label": torch.tensor([[0, 1, 2], [2, 0, 0]][rank]),
    }


def train(rank: int, folder: Path) -> None:
    for setting, give_wrapped in SETTINGS.items():
        plain = network()
        wrapped = DistributedDataParallel(plain)
        make = getattr(MixBatchd, setting)
        mixup = make("image", network=wrapped if give_wrapped else plain, layers=LAYERS, num_classes=3)
        prepare, loss = PrepareBatchAttached(mixup), MixupLoss(mixup.groups)
        torch.manual_seed(10 + rank)
        steps = []
        for _ in range(STEPS):
            wrapped.zero_grad()
            image, label = prepare(part(rank), "cpu")
            loss(FlowMixupInferer()(image, wrapped), label).backward()
            mixtures = [(m.layer, m.weight, m.order.tolist()) for m in mixup.transform.mixtures]
            steps.append({"mixtures": mixtures, "gradients": [p.grad.clone() for p in plain.parameters()]})
        torch.save(steps, folder / f"{setting}_{rank}.pt")
