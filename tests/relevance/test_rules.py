# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each rule: its derivatives, an example worked by hand, and the derivatives of what a network trains on."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from monai_debias.relevance import kernels, rules, rules_z_plus

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
