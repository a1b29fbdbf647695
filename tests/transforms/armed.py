# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A small network, and how it is armed for the mixing of its next training pass."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from monai_debias.transforms.mix_batch import MixBatch

LABEL = torch.tensor([0, 1, 2, 0])


def make_network(norm: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    second = nn.BatchNorm1d(5) if norm else nn.Identity()
    return nn.Sequential(nn.Linear(4, 5), second, nn.Tanh(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3))


def hooks(network: nn.Module) -> list[str]:
    """Modules that carry a forward hook, and "global" for those of all modules."""
    own = [name for name, m in network.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    return own + ["global"] * len(torch_module._global_forward_pre_hooks | torch_module._global_forward_hooks)


def mix(network: nn.Module, x: torch.Tensor, layers: tuple[str, ...] = ("2",), flow: str = "append") -> MixBatch:
    mixup = MixBatch(network, layers, flow=flow, num_classes=3).set_random_state(0)
    mixup(x, torch.arange(len(x)) % 3)
    return mixup
