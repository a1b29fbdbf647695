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
def test_fast_backward_is_the_differentiable_one(layout, block, monkeypatch) -> None:
    """Without create_graph a backward runs over blocks of samples, of which the last is smaller than the others."""
    monkeypatch.setattr(kernels, "BLOCK", block)
    g, a = values(*RAGGED), values(*RAGGED, low=0)
    if layout == "channels_last":
        g, a = (t.detach().to(memory_format=torch.channels_last).requires_grad_() for t in (g, a))
    if layout == "expanded":
        g = values(5, 3, 1, 1).detach().expand(RAGGED).requires_grad_()
    grad = values(*RAGGED).detach()
    inputs, out = (g, a), kernels.ReluGradient.apply(g, a, EPSILON, ZERO)
    torch.testing.assert_close(out, g * a / (a + EPSILON))
    expected = torch.autograd.grad(g * a / (a + EPSILON), inputs, grad)
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
    out = kernels.ReluGradient.apply(g, a, EPSILON, ZERO)
    fast = torch.autograd.grad(out.square().sum(), (g, a), retain_graph=True)
    differentiable = torch.autograd.grad(out.square().sum(), (g, a), create_graph=True)
    for f, d in zip(fast, differentiable, strict=True):
        torch.testing.assert_close(f, d.detach())
