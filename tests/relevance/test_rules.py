# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each rule: its derivatives, an example worked by hand, and the derivatives of what a network trains on."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from monai_debias.relevance import LRP, kernels, rules, rules_z_plus
from tests.relevance.lrp_helpers import relative_error

EPSILON = 0.1
CONVOLUTIONS = {
    "1d": (rules.Convolution([2], [1], [1], False, [0], 1), (2, 3, 7), (4, 3, 3), (2, 4, 4)),
    "2d grouped": (
        rules.Convolution([1, 1], [1, 1], [1, 2], False, [0, 0], 2),
        (2, 2, 4, 6),
        (4, 1, 3, 3),
        (2, 4, 4, 4),
    ),
    "3d": (
        rules.Convolution([2, 1, 2], [0, 0, 0], [1, 1, 1], False, [0] * 3, 1),
        (1, 2, 5, 3, 4),
        (3, 2, 2, 2, 2),
        (1, 3, 2, 2, 2),
    ),
    "2d transposed": (
        rules.Convolution([2, 2], [1, 1], [1, 1], True, [1, 1], 1),
        (2, 3, 3, 3),
        (3, 2, 3, 3),
        (2, 2, 6, 6),
    ),
    "dense": (rules.Dense(), (2, 5, 4), (3, 4), (2, 5, 3)),
}


def values(*shape: int, low: float = -1.0) -> torch.Tensor:
    """Numbers away from the kinks at 0, from a generator of their own."""
    values.calls += 1
    u = torch.rand(shape, dtype=torch.double, generator=torch.Generator().manual_seed(values.calls))
    u = 0.2 + u
    return (u if low >= 0 else u * (1 - 2 * (u * 1000 % 1 > 0.5).double())).requires_grad_()


values.calls = 0


def check(function, *inputs: torch.Tensor | None) -> None:
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def relu_output() -> torch.Tensor:
    a = values(2, 3, 4, 4, low=0).detach()
    a[:, :, ::2] = 0
    return a


@pytest.mark.parametrize("epsilon", [0.0, EPSILON])
def test_relu(epsilon) -> None:
    a = values(2, 3, 4, 4, low=0)
    check(partial(rules.relu_relevance, epsilon=epsilon), values(2, 3, 4, 4), a)
    g, a = values(2, 3, 4, 4).detach(), relu_output()
    expected = torch.where(a > 0, g * a / (a + epsilon), 0.0)
    torch.testing.assert_close(rules.relu_relevance(g, a, epsilon), expected)


@pytest.mark.parametrize("epsilon", [0.0, EPSILON])
def test_element_wise(epsilon) -> None:
    rule = partial(rules.element_wise_relevance, epsilon=epsilon)
    check(rule, values(2, 3, 4), values(2, 3, 4), values(2, 3, 4))
    g, u = values(2, 3, 4).detach(), values(2, 3, 4).detach()
    u[0] = 0
    out = rule(g, nn.functional.silu(u), u)
    assert torch.equal(out[0], torch.zeros(3, 4, dtype=torch.double))
    assert out.isfinite().all()
    relu = rules.relu_relevance(g, u.relu(), epsilon)
    torch.testing.assert_close(rule(g, u.relu(), u), relu, rtol=1e-12, atol=0)


def test_affine() -> None:
    check(rules.affine_relevance, values(2, 3, 4), values(3))


@pytest.mark.parametrize("with_weight", [True, False])
def test_centered(with_weight) -> None:
    def rule(g: torch.Tensor, weight: torch.Tensor | None, inverse: torch.Tensor) -> torch.Tensor:
        return rules.centered_relevance(g, weight, inverse, (2, 2, -1))

    check(rule, values(2, 4, 3), values(1, 4, 1) if with_weight else None, values(2, 2, 1, low=0))


@pytest.mark.parametrize(("linear", "x", "weight", "out"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_linear_maps(linear, x, weight, out) -> None:
    x, weight, g = values(*x), values(*weight), values(*out)
    y = linear.forward(x, weight)
    assert y.shape == g.shape
    expected = torch.autograd.grad(y, x, g)[0]
    torch.testing.assert_close(linear.transpose(g, weight, x), expected)
    check(lambda g, w: linear.transpose(g, w, x), g, weight)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("linear", "x", "weight", "out"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_positive(linear, x, weight, out, signed) -> None:
    x, weight, g = values(*x, low=-1 if signed else 0), values(*weight), values(*out)
    check(partial(rules_z_plus.companion_of_linear, linear.forward, signed=signed), x, weight)
    check(lambda g, w: rules_z_plus.z_plus_transposed(linear.transpose, g, x.detach(), w, signed), g, weight)
    positive = rules_z_plus.companion_of_linear(linear.forward, x, weight, signed)
    assert (positive >= 0).all()
    # what comes in goes out: Σ x (Wᵀ⁺ g) = Σ z⁺ g
    down = rules_z_plus.z_plus_transposed(linear.transpose, g, x, weight, signed)
    torch.testing.assert_close((x * down).sum(), (positive * g).sum())


def test_positive_activation() -> None:
    rule = partial(rules_z_plus.z_plus_relevance, epsilon=EPSILON)
    check(rule, values(2, 3), values(2, 3), values(2, 3, low=0))


@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-2.0, 3.0)])
@pytest.mark.parametrize("linear", ["1d", "2d grouped", "3d"])
def test_zb(linear, input_range) -> None:
    linear, x, weight, out = CONVOLUTIONS[linear]
    x, weight, bias = values(*x).detach(), values(*weight), values(weight[0]).detach()

    def rule(relevance: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rules.zb_relevance(relevance, x, linear, weight, bias, input_range, EPSILON)

    check(rule, values(*out), weight)


def test_kernels() -> None:
    check(lambda g, a: kernels.ReluGradient.apply(g, a, EPSILON), values(3, 2, 4), values(3, 2, 4, low=0))
    check(kernels.ScaledGradient.apply, values(3, 2, 4), values(2))
    geometry = CONVOLUTIONS["1d"][0].geometry
    x = values(2, 3, 7)
    check(lambda g, w: kernels.ConvolutionTransposed.apply(g, w, x, geometry), values(2, 4, 4), values(4, 3, 3))


def test_product() -> None:
    g, weight = values(2, 4, 3), values(4, 5)
    out = kernels.ProductTransposed.apply(g, weight)
    torch.testing.assert_close(out, torch.einsum("bcp,ck->bkp", g, weight))
    check(kernels.ProductTransposed.apply, g, weight)


def test_split() -> None:
    g = values(2, 5, 3)
    parts = kernels.SplitGradient.apply(g, [2, 3], 1)
    assert all(torch.equal(a, b) for a, b in zip(parts, g.split([2, 3], 1), strict=True))
    check(lambda g: kernels.SplitGradient.apply(g, [2, 3], 1), g)
    only_one = torch.autograd.grad(parts[0].square().sum(), g)[0]  # the other part's gradient is None
    torch.testing.assert_close(only_one, torch.cat([2 * parts[0], torch.zeros_like(parts[1])], 1).detach())


RAGGED = (5, 3, 7, 11)


@pytest.mark.parametrize("block", [1, 231, 500, 2**17])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "expanded"])
@pytest.mark.parametrize("name", ["relu", "scale"])
def test_fast_backward_is_the_differentiable_one(name, layout, block, monkeypatch) -> None:
    """Without create_graph a backward runs over blocks of samples, of which the last is smaller than the others."""
    monkeypatch.setattr(kernels, "BLOCK", block)
    g, a = values(*RAGGED), values(*RAGGED, low=0)
    if layout == "channels_last":
        g, a = (t.detach().to(memory_format=torch.channels_last).requires_grad_() for t in (g, a))
    if layout == "expanded":
        g = values(5, 3, 1, 1).detach().expand(RAGGED).requires_grad_()
    grad = values(*RAGGED).detach()
    if name == "relu":
        inputs, out = (g, a), kernels.ReluGradient.apply(g, a, EPSILON)
        torch.testing.assert_close(out, g * a / (a + EPSILON))
        expected = torch.autograd.grad(g * a / (a + EPSILON), inputs, grad)
    else:
        scale = values(3)
        inputs, out = (g, scale), kernels.ScaledGradient.apply(g, scale)
        expected = torch.autograd.grad(g * scale[:, None, None], inputs, grad)
    fast = torch.autograd.grad(out, inputs, grad, retain_graph=True)
    differentiable = torch.autograd.grad(out, inputs, grad, create_graph=True)
    for f, d, e in zip(fast, differentiable, expected, strict=True):
        assert not f.requires_grad
        assert d.requires_grad
        torch.testing.assert_close(f, e)
        torch.testing.assert_close(d, e)


def test_blocks_of_the_real_size() -> None:
    """More than one block of the real size, and more samples than blocks."""
    shape = (5, 4, 160, 160)
    assert shape[0] > 5 * 4 * 160 * 160 / kernels.BLOCK > 1.5
    g, a = values(*shape), values(*shape, low=0)
    for out in (kernels.ReluGradient.apply(g, a, EPSILON), kernels.ScaledGradient.apply(g, a.mean((0, 2, 3)))):
        fast = torch.autograd.grad(out.square().sum(), (g, a), retain_graph=True)
        differentiable = torch.autograd.grad(out.square().sum(), (g, a), create_graph=True)
        for f, d in zip(fast, differentiable, strict=True):
            torch.testing.assert_close(f, d.detach())


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
