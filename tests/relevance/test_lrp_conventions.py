# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What docs/isnet.md says of this LRP: what its gradient takes for constant, and where it differs from other LRPs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.nets import ResNet
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import Functional, RuleOfReLU, conv, head, relative_error

EPSILON = 1e-2


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def gradient_of_the_map(network: nn.Module, relevance: torch.Tensor) -> torch.Tensor:
    parameters = [*network.parameters()]
    loss = relevance.abs().pow(1.5).sum()
    parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([g.flatten() for g in parts])


def written_out(network: nn.Module, x: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """The map of logit 1, of a convolution, a batch norm and a ReLU; 1/σ of the relevance pass is an argument."""
    a = F.relu(network.norm(network.conv(x)))
    g = network.fc.weight[1][:, None, None] / a[0, 0].numel() * a / (a + EPSILON)
    g = g * (network.norm.weight * inverse)[:, None, None]
    return x * F.conv_transpose2d(g, network.conv.weight, padding=1)


def test_statistics_of_the_relevance_pass_are_constants_and_nothing_else_is() -> None:
    """Of the activations, through batch norm in training, the gradient is the whole one."""
    layers = {"conv": conv(2, 4), "norm": nn.BatchNorm2d(4), "fc": nn.Linear(4, 3)}
    network = Functional(lambda m, x: head(m, F.relu(m.norm(m.conv(x)))), **layers).double().train()
    nn.init.uniform_(network.norm.weight, 0.5, 2)
    x = torch.rand(4, 2, 8, 8, dtype=torch.double)
    inverse = (network.conv(x).var((0, 2, 3), correction=0) + network.norm.eps).rsqrt()
    _, relevance = LRP(network, EPSILON)(x, 1, create_graph=True)
    found = gradient_of_the_map(network, relevance)
    constant, whole = (written_out(network, x, i) for i in (inverse.detach(), inverse))
    assert relative_error(relevance[:, 0], whole) < 1e-10
    assert relative_error(found, gradient_of_the_map(network, constant)) < 1e-9
    assert relative_error(found, gradient_of_the_map(network, whole)) > 0.02


def test_the_gradient_of_the_loss_goes_through_gates() -> None:
    """No relevance does."""

    def gate(m: nn.Module, a: torch.Tensor) -> torch.Tensor:
        return m.gate(a.mean((2, 3))).sigmoid()[:, :, None, None]

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        a = F.relu(m.conv(x))
        return head(m, a * gate(m, a))

    network = Functional(forward, conv=conv(2, 4), gate=nn.Linear(4, 4), fc=nn.Linear(4, 3)).double()
    x = torch.rand(4, 2, 8, 8, dtype=torch.double)
    _, relevance = LRP(network, EPSILON)(x, 1, create_graph=True)
    a = F.relu(network.conv(x))
    g = network.fc.weight[1][:, None, None] / a[0, 0].numel() * gate(network, a) * a / (a + EPSILON)
    expected = x * F.conv_transpose2d(g, network.conv.weight, padding=1)
    assert relative_error(relevance[:, 0], expected) < 1e-10
    assert relative_error(gradient_of_the_map(network, relevance), gradient_of_the_map(network, expected)) < 1e-9


@pytest.mark.parametrize("between", [nn.ReLU(), nn.Identity()])
def test_dual_is_for_networks_of_relus(between) -> None:
    torch.manual_seed(1)
    layers = [conv(1, 16), nn.ReLU(), conv(16, 16), between, conv(16, 16), between, conv(16, 16), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(16 * 64, 3)]
    _, relevance = LRP(nn.Sequential(*layers).double(), EPSILON)(torch.rand(4, 1, 8, 8, dtype=torch.double), "dual")
    z_plus = relevance[:, 0]
    negative = (z_plus.clamp(max=0).sum() / z_plus.abs().sum()).abs().item()
    assert negative == 0 if isinstance(between, nn.ReLU) else negative > 0.1


class Stabilised(torch.autograd.Function):
    """LRP-ε's denominator at a linear layer: z passes g·z/(z + ε sign z) back."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(z)
        return z.clone()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        (z,) = ctx.saved_tensors
        return g * z / (z + EPSILON * z.sign())


class ActivationByRule(nn.Module):
    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """A ReLU whose backward is the rule."""
        return RuleOfReLU.apply(u, EPSILON)


def resnet18() -> nn.Module:
    network = ResNet("basic", [2, 2, 2, 2], [8, 16, 24, 32], 2, 1, num_classes=3, conv1_t_stride=2).eval()
    return network.double()


def test_epsilon_where_an_activation_follows_and_epsilon_at_every_layer() -> None:
    """In a ResNet the sums and the last layer come without an activation before them."""
    flex, every_layer = resnet18(), resnet18()
    every_layer.load_state_dict(flex.state_dict())
    for name, module in every_layer.named_modules():
        if name.endswith(("bn2", "downsample.1", "fc")):
            module.register_forward_hook(lambda _, __, z: Stabilised.apply(z))
    x = torch.rand(4, 1, 64, 64, dtype=torch.double)
    _, ours = LRP(flex, EPSILON)(x, 1)
    _, matched = LRP(every_layer, EPSILON, allow=["Stabilised"])(x, 1)
    for name, module in [*every_layer.named_modules()]:  # LRP-ε layer by layer, without LRP
        if isinstance(module, nn.ReLU):
            every_layer.set_submodule(name, ActivationByRule())
    expected = x * torch.autograd.grad(every_layer(x.requires_grad_())[:, 1].sum(), x)[0]
    assert relative_error(matched[:, 0], expected.detach()) < 1e-9
    assert relative_error(ours[:, 0], expected.detach()) > 0.05
