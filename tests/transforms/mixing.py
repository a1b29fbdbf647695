# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A network with stages that can be mixed, and a batch for it."""

from __future__ import annotations

import torch
from torch import nn

LAYERS = ("input", "first", "second")


class Stages(nn.Module):
    """Two stages, whose outputs are the states "first" and "second", and a head; in float64."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh())
        self.norm = nn.BatchNorm1d(3) if norm else nn.Identity()
        self.second = nn.Sequential(nn.Conv1d(3, 4, 3), nn.Softplus())
        self.head = nn.Linear(4, 3)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.norm(self.first(x))).mean(-1))


def batch(n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 2, 9, generator=generator, dtype=torch.double), torch.arange(n) % 3
