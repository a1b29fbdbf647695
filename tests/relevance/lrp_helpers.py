# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from monai_debias.relevance import LRP

Activation = Callable[[torch.Tensor], torch.Tensor]


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


class RuleOfReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, epsilon: float) -> torch.Tensor:
        a = u * (u > 0)
        ctx.save_for_backward(a)
        ctx.epsilon = epsilon
        return a

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None]:
        (a,) = ctx.saved_tensors
        return torch.where(a > 0, g * a / (a + ctx.epsilon), 0.0), None


def check(
    fancy: Callable[[nn.Module, torch.Tensor], torch.Tensor],
    plain: Callable[[nn.Module, torch.Tensor, Activation], torch.Tensor],
    shape: tuple[int, ...] = (4, 2, 8, 8),  # as many samples as channels: one must not be taken for the other
    training: bool = False,
    **layers: nn.Module,
) -> None:
    """Logits and relevance for ε = 0 and above, and of some rows, with the gradients of a loss of theirs."""
    network = Functional(fancy, **layers).double().train(training)
    x = torch.randn(shape, dtype=torch.double)
    for epsilon in (0.0, 0.05):
        network.function = lambda m, v, e=epsilon: plain(m, v, lambda u: RuleOfReLU.apply(u, e))
        torch.manual_seed(1)
        expected = gradient_times_input(network, x)
        network.function = fancy
        torch.manual_seed(1)
        ordinary = network(x.clone())
        torch.manual_seed(1)
        logits, relevance = LRP(network, epsilon)(x, "all", create_graph=True)
        assert torch.equal(logits, ordinary)
        assert expected.abs().max() > 1e-6
        assert relative_error(relevance, expected) < 1e-10
        rows, found = torch.tensor([len(x) - 1, 0]), []
        torch.manual_seed(1)
        logits, of_rows = LRP(network, epsilon)(x, "all", rows=rows, create_graph=True)
        assert torch.equal(logits, ordinary)
        assert relative_error(of_rows, expected[rows]) < 1e-10
        for maps in (relevance[rows], of_rows):
            network.zero_grad()
            maps.abs().pow(1.5).sum().backward()
            found.append(torch.cat([_gradient(p).flatten() for p in network.parameters()]))
        assert found[0].isfinite().all()
        assert relative_error(found[1], found[0]) < 1e-6


def _gradient(parameter: nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def batch_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.normal_()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.3, 3)
    return norm
