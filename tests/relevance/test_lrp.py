# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""LRP through small networks, worked by hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import relative_error
from tests.samples import IMAGE, NETWORK

EXAMPLES = {
    LRP: [{"network": NETWORK}, {"network": NETWORK, "epsilon": 0.0, "input_rule": "zb"}],
    LRP.__call__: {"x": IMAGE, "target": "selective", "rows": torch.tensor([1])},
}


def two_layers() -> nn.Sequential:
    """Hidden layer: W = [[2, -1], [-1, 1]], b = [0.5, -0.25]; logits: V = [[3, -2], [1, 4]], c = [0.5, 0]."""
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    for parameter, numbers in zip(
        network.parameters(), ([[2, -1], [-1, 1]], [0.5, -0.25], [[3, -2], [1, 4]], [0.5, 0]), strict=True
    ):
        parameter.data = torch.tensor(numbers, dtype=torch.double)
    return network


def test_two_layers_by_hand_epsilon() -> None:
    # x = (0.25, 0.75): u = (2·0.25 - 0.75 + 0.5, -0.25 + 0.75 - 0.25) = (0.25, 0.25) = a
    # logits (3·0.25 - 2·0.25 + 0.5, 0.25 + 4·0.25) = (0.75, 1.25)
    # ε = 0.25: a/(a + ε) = ½ for both. Logit 0: G = W^T (3·½, -2·½) = W^T (1.5, -1) = (3 + 1, -1.5 - 1) = (4, -2.5)
    # R = (0.25·4, 0.75·(-2.5)) = (1, -1.875)
    # Logit 1: G = W^T (½, 2) = (1 - 2, -½ + 2) = (-1, 1.5), R = (-0.25, 1.125)
    x = torch.tensor([[0.25, 0.75]], dtype=torch.double)
    logits, relevance = LRP(two_layers(), epsilon=0.25)(x, "all")
    torch.testing.assert_close(logits, torch.tensor([[0.75, 1.25]], dtype=torch.double))
    expected = torch.tensor([[[1, -1.875], [-0.25, 1.125]]], dtype=torch.double)
    torch.testing.assert_close(relevance, expected)


def test_two_layers_by_hand_zb() -> None:
    # As above, relevance of the hidden layer for logit 0: (3·¼, -2·¼) = (0.75, -0.5); box [0, 1], ε = 0.25.
    # z = W x + b - 0·(...) - 1·(W⁻1 + b⁻) = (0.25, 0.25) - (-1 + 0, -1 - 0.25) = (1.25, 1.5)
    # s = (0.75/1.5, -0.5/1.75) = (½, -2/7)
    # W^T s = (2·½ + 2/7, -½ - 2/7) = (9/7, -11/14); W⁻^T s = (-1·(-2/7), -1·½) = (2/7, -½)
    # R = (¼·9/7 - 2/7, ¾·(-11/14) + ½) = (1/28, -5/56)
    x = torch.tensor([[0.25, 0.75]], dtype=torch.double)
    _, relevance = LRP(two_layers(), epsilon=0.25, input_rule="zb")(x, 0)
    torch.testing.assert_close(relevance, torch.tensor([[[1 / 28, -5 / 56]]], dtype=torch.double))


def test_two_layers_by_hand_dual() -> None:
    # Map 0, z⁺ with ε = 0.25. a = (0.25, 0.25). Last layer: z⁺ = (3·¼ + ½, ¼ + 4·¼) = (1.25, 1.25), R of each logit
    # is z⁺ itself; hidden: R_j = a_j Σ_k v⁺_jk z⁺_k/(z⁺_k + ε) = a_j Σ_k v⁺_jk · 5/6
    #   = (¼·(3 + 1)·5/6, ¼·(0 + 4)·5/6) = (5/6, 5/6)
    # First layer: z⁺ = W⁺x + b⁺ = (0.5 + 0.5, 0.75 + 0) = (1, 0.75);
    # R_i = x_i Σ_j w⁺_ij R_j/(z⁺_j + ε) = (0.25·2·(5/6)/1.25, 0.75·1·(5/6)/1) = (1/3, 5/8)
    # Map 1, ε: the logits (0.75, 1.25) over (1, 1.5) are (3/4, 5/6); hidden G = a/(a + ε) V^T (3/4, 5/6)
    #   = ½ (9/4 + 5/6, -3/2 + 10/3) = (37/24, 11/12); W^T G = (37/12 - 11/12, -37/24 + 11/12) = (13/6, -5/8)
    # R = (13/24, -15/32)
    x = torch.tensor([[0.25, 0.75]], dtype=torch.double)
    _, relevance = LRP(two_layers(), epsilon=0.25)(x, "dual")
    expected = torch.tensor([[[1 / 3, 5 / 8], [13 / 24, -15 / 32]]], dtype=torch.double)
    torch.testing.assert_close(relevance, expected)


def test_zero_divisions_without_epsilon() -> None:
    """A unit into which nothing comes has z⁺ = a = 0, and a logit of 0 no relevance; by hand, with ε = 0.

    a = (2, 0), logits (2, 0). Map 0: R of the logits z⁺ = (2, 0), of the hidden units (2, 0), of the input (2, 0).
    """
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False)).double()
    network[0].weight.data = torch.tensor([[2.0, 0.0], [-1.0, 0.0]], dtype=torch.double)
    network[2].weight.data = torch.tensor([[1.0, 3.0], [0.0, 1.0]], dtype=torch.double)
    x = torch.tensor([[1.0, 1.0]], dtype=torch.double)
    _, relevance = LRP(network, epsilon=0)(x, "dual", create_graph=True)
    assert torch.equal(relevance.detach(), torch.tensor([[[2.0, 0.0], [2.0, 0.0]]], dtype=torch.double))
    relevance.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    _, relevance = LRP(network, epsilon=0, input_rule="zb")(torch.zeros_like(x), "all")
    assert torch.equal(relevance, torch.zeros_like(relevance))


def positive_maps(network: nn.Sequential, x: torch.Tensor, epsilon: float) -> torch.Tensor:
    """LRP-z⁺ from layer to layer, written out: of (convolution, norm, ReLU) twice, a pool, a dense layer."""
    layers = []
    for convolution, norm in ((network[0], network[1]), (network[3], network[4])):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = convolution.weight * scale[:, None, None, None]
        bias = (convolution.bias - norm.running_mean) * scale + norm.bias
        layers.append((partial(nn.functional.conv2d, stride=convolution.stride), weight, bias))
    layers.append((nn.functional.linear, network[7].weight, network[7].bias))
    activations = [x, network[:3](x), network[:7](x), network(x)]
    relevance = None
    for i, (linear, weight, bias) in reversed(list(enumerate(layers))):
        a = activations[i].detach().requires_grad_()
        up = linear(a.clamp(min=0), weight.clamp(min=0)) + linear(a.clamp(max=0), weight.clamp(max=0))
        z = up + bias.clamp(min=0).reshape(1, -1, *[1] * (up.ndim - 2))
        relevance = z if relevance is None else relevance
        incoming = relevance.detach() / (z.detach() + epsilon)
        relevance = a.detach() * torch.autograd.grad(up, a, incoming)[0]
        if i == 2:  # the pool is a mean over positions, of which each gets its share
            before = network[:6](x).detach()
            share = before / before.sum((2, 3), keepdim=True).clamp(min=1e-12)
            relevance = share * relevance[:, :, None, None]
    return relevance


@pytest.mark.parametrize("signed", [False, True])
def test_positive_pass_through_a_network(signed) -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU()
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(*first, pool, nn.Linear(6, 3)).double().eval()
    for norm in (network[1], network[4]):
        norm.weight.data.normal_()
        norm.bias.data.uniform_(0, 1)
        norm.running_mean.normal_(std=0.3)
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(3, 2, 9, 9, dtype=torch.double) if signed else torch.rand(3, 2, 9, 9, dtype=torch.double)
    _, relevance = LRP(network, epsilon=0.1)(x, "dual")
    assert relative_error(relevance[:, 0], positive_maps(network, x, 0.1)) < 1e-9


@pytest.mark.parametrize("input_rule", [None, "zb"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU])
@pytest.mark.parametrize("target", [1, "all", "selective", "dual"])
def test_gradient_of_a_loss_against_finite_differences(target, activation, input_rule) -> None:
    if target == "dual" and (input_rule or activation is nn.SiLU):
        pytest.skip("dual has an input rule of its own, and is for ReLUs")
    torch.manual_seed(0)
    first = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), activation(), nn.Conv2d(4, 5, 3, stride=2)
    rest = nn.BatchNorm2d(5), activation(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)
    network = nn.Sequential(*first, *rest).double()
    for norm in (network[1], network[4]):
        norm.weight.data.uniform_(0.5, 2)
        norm.bias.data.uniform_(0, 1)
        norm.running_var.uniform_(0.5, 2)
    x = torch.rand(3, 2, 7, 7, dtype=torch.double)
    mask = torch.zeros(3, 1, 1, 7, 7, dtype=torch.double)
    mask[..., 2:5, 2:5] = 1
    lrp = LRP(network.eval(), 0.05, input_rule=input_rule)

    def loss(create_graph: bool = False) -> torch.Tensor:
        logits, relevance = lrp(x, target, create_graph=create_graph)
        size = relevance.abs()
        share = (size * (1 - mask)).sum((2, 3, 4)) / (size * mask).sum((2, 3, 4))
        return share.log1p().mean() + 0.1 * logits.square().mean()

    loss(create_graph=True).backward()
    # zB holds the bias of its first layer constant, with that of its norm: no finite difference can show that
    constant = {"0.bias", "1.bias", "1.weight"} if input_rule else set()
    compared = 0
    for name, parameter in network.named_parameters():
        if name in constant:
            continue
        flat, index = parameter.data.view(-1), int(parameter.grad.abs().argmax())
        before, step, sides = flat[index].item(), 1e-6, []
        for sign in (1, -1):
            flat[index] = before + sign * step
            sides.append(loss().item())
        flat[index] = before
        numeric = (sides[0] - sides[1]) / (2 * step)
        assert parameter.grad.view(-1)[index].item() == pytest.approx(numeric, rel=2e-4, abs=1e-8), name
        compared += 1
    assert compared >= 7
    assert relative_error(lrp(x, target)[0], network(x)) == 0
