# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The backward passes of rules: their derivatives, also where a block of them is computed at a time."""

from __future__ import annotations

import pytest
import torch

from monai_debias.relevance import kernels
from tests.relevance.rule_inputs import CONVOLUTIONS, EPSILON, check, values

ZERO = torch.zeros(1, dtype=torch.double)


def test_kernels() -> None:
    check(
        lambda g, a: kernels.ReluGradient.apply(g, a, EPSILON, ZERO),
        values(3, 2, 4),
        values(3, 2, 4, low=0),
    )
    check(
        lambda g, a, u: kernels.ActivationGradient.apply(g, a, u, EPSILON),
        *(values(3, 2, 4) for _ in range(3)),
    )
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
# by name: a kernel, the formula that it computes, and from what its tensors are
KERNELS = {
    "relu": (
        lambda g, a: kernels.ReluGradient.apply(g, a, EPSILON, ZERO),
        lambda g, a: g * a / (a + EPSILON),
        (-1, 0),
    ),
    "any activation": (
        lambda g, a, u: kernels.ActivationGradient.apply(g, a, u, EPSILON),
        lambda g, a, u: g * a / (u + EPSILON * u.sign()),
        (-1, -1, -1),
    ),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("block", [1, 231, 500, 2**17])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "expanded"])
def test_fast_backward_is_the_differentiable_one(kernel, layout, block, monkeypatch) -> None:
    """Without create_graph a backward runs over blocks of samples, of which the last is smaller than the others."""
    monkeypatch.setattr(kernels, "BLOCK", block)
    compute, formula, lowest = KERNELS[kernel]
    inputs = [values(*RAGGED, low=low) for low in lowest]
    if layout == "channels_last":
        inputs = [t.detach().to(memory_format=torch.channels_last).requires_grad_() for t in inputs]
    if layout == "expanded":
        inputs[0] = values(5, 3, 1, 1).detach().expand(RAGGED).requires_grad_()
    grad = values(*RAGGED).detach()
    out, right = compute(*inputs), formula(*inputs)
    torch.testing.assert_close(out, right)
    expected = torch.autograd.grad(right, inputs, grad)
    fast = torch.autograd.grad(out, inputs, grad, retain_graph=True)
    differentiable = torch.autograd.grad(out, inputs, grad, create_graph=True)
    for f, d, e in zip(fast, differentiable, expected, strict=True):
        assert not f.requires_grad
        assert d.requires_grad
        torch.testing.assert_close(f, e)
        torch.testing.assert_close(d, e)


@pytest.mark.parametrize("kernel", KERNELS)
def test_blocks_of_the_real_size(kernel) -> None:
    """More than one block of the real size, and more samples than blocks."""
    shape = (5, 4, 160, 160)
    assert shape[0] > 5 * 4 * 160 * 160 / kernels.BLOCK > 1.5
    compute, _, lowest = KERNELS[kernel]
    inputs = [values(*shape, low=low) for low in lowest]
    out = compute(*inputs)
    fast = torch.autograd.grad(out.square().sum(), inputs, retain_graph=True)
    differentiable = torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
    for f, d in zip(fast, differentiable, strict=True):
        torch.testing.assert_close(f, d.detach())


def test_an_activation_at_0_is_divided_by_epsilon() -> None:
    """Where sign(u) is taken as 1, so that nothing is divided by 0."""
    g, u = torch.tensor([2.0, 2.0]), torch.zeros(2)
    torch.testing.assert_close(
        kernels.ActivationGradient.apply(g, torch.tensor([0.0, 1.0]), u, 0.5), torch.tensor([0.0, 4.0])
    )
