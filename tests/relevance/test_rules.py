# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each rule: its derivatives, an example worked by hand, and the derivatives of what a network trains on."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from monai_debias.relevance import rules, rules_z_plus
from tests.relevance.rule_inputs import CONVOLUTIONS, EPSILON, check, values

ZERO = torch.zeros(1, dtype=torch.double)


def relu_output() -> torch.Tensor:
    a = values(2, 3, 4, 4, low=0).detach()
    a[:, :, ::2] = 0
    return a


@pytest.mark.parametrize("epsilon", [0.0, EPSILON])
def test_relu(epsilon) -> None:
    a = values(2, 3, 4, 4, low=0)
    check(partial(rules.relu_relevance, epsilon=epsilon, zero=ZERO), values(2, 3, 4, 4), a)
    g, a = values(2, 3, 4, 4).detach(), relu_output()
    expected = torch.where(a > 0, g * a / (a + epsilon), 0.0)
    torch.testing.assert_close(rules.relu_relevance(g, a, epsilon, ZERO), expected)


@pytest.mark.parametrize("epsilon", [0.0, EPSILON])
def test_element_wise(epsilon) -> None:
    rule = partial(rules.element_wise_relevance, epsilon=epsilon)
    check(rule, values(2, 3, 4), values(2, 3, 4), values(2, 3, 4))
    g, u = values(2, 3, 4).detach(), values(2, 3, 4).detach()
    u[0] = 0
    out = rule(g, nn.functional.silu(u), u)
    assert torch.equal(out[0], torch.zeros(3, 4, dtype=torch.double))
    assert out.isfinite().all()
    relu = rules.relu_relevance(g, u.relu(), epsilon, ZERO)
    torch.testing.assert_close(rule(g, u.relu(), u), relu, rtol=1e-12, atol=0)


@pytest.mark.parametrize("with_weight", [True, False])
def test_affine(with_weight) -> None:
    variance, zeros = values(3, low=0.5).detach(), torch.zeros(3, dtype=torch.double)
    g, weight = values(2, 3, 4), values(3) if with_weight else None
    check(lambda g, weight: rules.affine_relevance(g, weight, variance, zeros), g, weight)
    expected = g * ((1 if weight is None else weight) * variance.rsqrt())[:, None]
    torch.testing.assert_close(rules.affine_relevance(g, weight, variance, zeros), expected, rtol=1e-12, atol=0)


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


@pytest.mark.parametrize("shape", [(32, 33, 2, 3), (31, 33, 2, 3), (2, 3, 32, 32)], ids=["small", "narrow", "large"])
def test_a_convolution_of_single_positions_is_transposed_alike_in_every_way(shape) -> None:
    """As a convolution or as a matrix product, whichever is faster for such channels and maps."""
    (n_out, n_in), size = shape[:2], shape[2:]
    g, weight, x = values(2, n_out, *size), values(n_out, n_in, 1, 1), values(2, n_in, *size)
    out = rules.Convolution((1, 1), (0, 0), (1, 1), False, (0, 0), 1).transpose(g, weight, x)
    expected = torch.einsum("bohw,oi->bihw", g, weight[..., 0, 0])
    torch.testing.assert_close(out, expected)
    for ours, right in zip(*(torch.autograd.grad(o.square().sum(), (g, weight)) for o in (out, expected)), strict=True):
        torch.testing.assert_close(ours, right)
