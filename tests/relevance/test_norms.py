# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Normalisation: what a batch norm after a convolution becomes, and norms of a sample."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import (
    Activation,
    Functional,
    batch_norm,
    check,
    conv,
    head,
    relative_error,
    without_biases,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolution_that_its_norm_does_not_own(kernel: int) -> None:
    """The scale of a norm is folded into a convolution only if nothing else uses the convolution's output."""

    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        y = m.conv(x)
        z = m.conv2(act(m.norm(y) - 0.3 * m.norm2(y) + y))
        return head(m, act(m.norm(z)) + z)

    layers = {"conv": conv(2, 4, kernel), "conv2": conv(4, 4), "norm": batch_norm(4), "norm2": batch_norm(4)}
    check(lambda m, x: forward(m, x, F.relu), forward, fc=nn.Linear(4, 3), **layers)


@pytest.mark.parametrize("size", [2, 8])
def test_two_norms_after_a_convolution(size: int) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.norm2(m.norm(m.conv(x)))))

    layers = {"conv": conv(2, 4), "norm": batch_norm(4), "norm2": batch_norm(4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, shape=(3, 2, size, size), **layers)


def test_two_norms_after_a_convolution_are_no_stem_of_the_zb_rule() -> None:
    layers = {"conv": conv(2, 4), "norm": batch_norm(4), "norm2": batch_norm(4), "fc": nn.Linear(4, 3)}
    network = Functional(lambda m, x: head(m, F.relu(m.norm2(m.norm(m.conv(x))))), **layers).eval()
    with pytest.raises(ValueError, match="zB rule needs a network that begins with"):
        LRP(network, input_rule="zb")(torch.rand(2, 2, 8, 8))


def test_norm_before_a_convolution() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, m.conv2(act(m.norm2(torch.cat([x, m.conv(act(m.norm(x)))], 1)))))

    layers = {"conv": conv(2, 4), "conv2": conv(6, 4), "norm": batch_norm(2), "norm2": batch_norm(6)}
    check(lambda m, x: forward(m, x, F.relu), forward, fc=nn.Linear(4, 3), **layers)


def test_batch_norm_with_statistics_of_the_batch_is_a_fixed_map() -> None:
    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        y = m.conv(x)
        variance, mean = (t.detach()[:, None, None] for t in torch.var_mean(y, (0, 2, 3), correction=0))
        y = (y - mean) / (variance + m.norm.eps).sqrt() * m.norm.weight[:, None, None] + m.norm.bias[:, None, None]
        return head(m, act(y))

    layers = {"conv": conv(2, 4), "norm": batch_norm(4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: head(m, F.relu(m.norm(m.conv(x)))), plain, training=True, **layers)


def test_batch_norm_of_a_single_value_is_refused_as_by_torch() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 4), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten()).train()
    image = torch.rand(1, 1, 4, 4)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(image)
    with pytest.raises(ValueError, match=r"only one value for each channel .* \(1, 2, 1, 1\): give batches of two"):
        LRP(network)(image)
    assert bool(network[1].running_var.isfinite().all())


def test_dense_layers_with_batch_norm() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return m.fc(act(m.norm(m.first(x.flatten(1)))))

    norm = nn.BatchNorm1d(7)
    nn.init.uniform_(norm.weight)
    check(lambda m, x: forward(m, x, F.relu), forward, first=nn.Linear(128, 7), norm=norm, fc=nn.Linear(7, 3))


NORMS = {
    "layer": nn.LayerNorm([8, 6, 6]),
    "layer of the last dimension": nn.LayerNorm(6),
    "group": nn.GroupNorm(2, 8),
    "instance": nn.InstanceNorm2d(8, affine=True),
    "instance without weights": nn.InstanceNorm2d(8),
}


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_norms_of_a_sample(norm: nn.Module) -> None:
    """Their denominators are constants; with biases off and ε → 0 relevance is conserved."""
    network = Functional(lambda m, x: head(m, m.norm(m.conv(x).relu()).relu()), conv=conv(2, 8), norm=norm)
    network.fc = nn.Linear(8, 3)
    network = without_biases(network.double())
    norm.eps = 1e-12
    if norm.weight is not None:
        nn.init.uniform_(norm.weight, 0.5, 2)
    x = torch.randn(3, 2, 6, 6, dtype=torch.double)
    logits, relevance = LRP(network, 0)(x, "all")
    assert torch.equal(logits, network(x))
    torch.testing.assert_close(relevance.sum((2, 3, 4)), logits, rtol=1e-6, atol=1e-9)

    y = network.conv(x.requires_grad_()).relu()  # the same with a plain formulation of the norm
    grouped, over = y, (2, 3)
    if isinstance(norm, nn.GroupNorm):
        grouped, over = y.reshape(3, 2, -1), (2,)
    elif isinstance(norm, nn.LayerNorm):
        over = tuple(range(4 - len(norm.normalized_shape), 4))
    variance, mean = torch.var_mean(grouped, over, correction=0, keepdim=True)
    z = ((grouped - mean) / variance.detach().sqrt()).reshape(y.shape)
    weight = 1 if norm.weight is None else norm.weight
    if norm.weight is not None and not isinstance(norm, nn.LayerNorm):
        weight = norm.weight[:, None, None]
    plain = head(network, (z * weight).relu())
    for k in range(3):
        expected = x * torch.autograd.grad(plain[:, k].sum(), x, retain_graph=True)[0]
        assert relative_error(relevance[:, k], expected) < 1e-6
