# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What each of the processes of test_lrp_training does: a step of training, distributed over them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from monai_debias.relevance import LRP, UncoveredOperationError


def network() -> nn.Sequential:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, stride=2)
    return nn.Sequential(*first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).double().eval()


def images(n: int = 4) -> torch.Tensor:
    return torch.rand(n, 1, 12, 12, dtype=torch.double, generator=torch.Generator().manual_seed(0))


def loss(logits: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
    """A mean over samples, as that of an ISNet."""
    return logits.square().sum(1).mean() + relevance.abs().sum((1, 2, 3, 4)).log1p().mean()


TARGETS = {"all": False, "selective": False, "dual": True}  # whether to look for parameters that are not used


def train(rank: int, folder: Path) -> None:
    with pytest.raises(ValueError, match="use static_graph=False"):
        LRP(DistributedDataParallel(network(), static_graph=True))(images())
    for unused in (False, True):
        wrapped = DistributedDataParallel(nn.Sequential(network(), nn.LogSoftmax(1)), find_unused_parameters=unused)
        with pytest.raises(UncoveredOperationError, match="log_softmax"):
            LRP(wrapped)(images(), "all")
    for target, unused in TARGETS.items():
        wrapped = DistributedDataParallel(network(), find_unused_parameters=unused)
        part, gradients = images().chunk(2)[rank], []
        for _ in range(2):  # the second step is another one than the first for the reducer
            wrapped.zero_grad()
            loss(*LRP(wrapped)(part, target, create_graph=True)).backward()
            gradients.append([p.grad.clone() for p in wrapped.parameters()])
        torch.save(gradients, folder / f"{target}_{rank}.pt")
