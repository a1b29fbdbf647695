# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert found.shape == expected.shape
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


class Functional(nn.Module):
    """A network whose forward pass is a function of the module, where its layers are, and of the input."""

    def __init__(self, forward: Callable[[nn.Module, torch.Tensor], torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def gradient_times_input(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """LRP-0 of every logit for a network of ReLUs and linear layers, shape (B, K, C, spatial...)."""
    x = x.clone().requires_grad_()
    logits = network(x)
    maps = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in logits.unbind(1)]
    return (x[:, None] * torch.stack(maps, 1)).detach()


def without_biases(network: nn.Module) -> nn.Module:
    """What the conservation of relevance asks for: nothing is added in a layer, not even by a running mean."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias") or "position_embedding" in name or "cls_token" in name:
            nn.init.zeros_(parameter)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.zero_()
    return network


def conv(inputs: int, outputs: int, kernel: int = 3, **options: Any) -> nn.Conv2d:
    """A convolution that keeps the size of an image."""
    return nn.Conv2d(inputs, outputs, kernel, **{"padding": kernel // 2, **options})


def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Logits of pooled features, by the network's ``fc``."""
    return m.fc(x.mean((2, 3)))
