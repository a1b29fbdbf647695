# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_debias.losses.ranks import rank_pooling, rank_weights
from tests.samples import HEATMAP

EXAMPLES = {rank_pooling: {"values": HEATMAP.abs(), "decay": 0.9}}


def by_definition(values: torch.Tensor, decay: float) -> torch.Tensor:
    """All ranks, in float64."""
    weights = torch.tensor([decay**i for i in range(values.shape[-1])], dtype=torch.float64)
    return (values.double().sort(-1, descending=True).values * weights).sum(-1) / weights.sum()


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.996, 1.0])
@pytest.mark.parametrize("n", [1, 7, 300, 12544])
def test_it_agrees_with_sorting_everything(decay, n):
    """As the docstring promises, to the resolution of the dtype, whatever the processor."""
    generator = torch.Generator().manual_seed(n)
    for values in (
        torch.rand(3, 2, n, generator=generator),
        torch.randn(3, 2, n, generator=generator).abs().pow(4),  # few large ones
        torch.ones(3, 2, n),  # the tail is as high as the head: the hardest case for leaving it out
    ):
        resolution = torch.finfo(torch.float32).eps
        found = rank_pooling(values, decay).double()
        torch.testing.assert_close(found, by_definition(values, decay), rtol=resolution, atol=0)
        exact = rank_pooling(values.double(), decay)
        torch.testing.assert_close(exact, by_definition(values, decay), rtol=1e-13, atol=0)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.996, 1.0])
def test_the_gradient_agrees_with_sorting_everything(decay):
    order = torch.stack([torch.randperm(5000, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)])
    values = (order / 5000).requires_grad_()  # no ties, whose order is anyone's choice
    weights = torch.tensor([1.0, -2.0])
    (ours,) = torch.autograd.grad((rank_pooling(values, decay) * weights).sum(), values)
    (theirs,) = torch.autograd.grad((by_definition(values, decay) * weights).sum(), values)
    assert (ours - theirs).norm() < 1e-6 * theirs.norm()


def test_by_hand_and_the_limits():
    values = torch.tensor([1.0, 4.0, 2.0])
    assert rank_pooling(values, 0.5).item() == pytest.approx((4 + 0.5 * 2 + 0.25 * 1) / 1.75)
    assert rank_pooling(values, 1).item() == pytest.approx(7 / 3)
    assert rank_pooling(values, 0).item() == 4
    # on the way to the limits, too
    assert rank_pooling(values, 1e-9).item() == pytest.approx(4)
    assert rank_pooling(values, 1 - 1e-9).item() == pytest.approx(7 / 3)


def test_the_gradient_of_the_maximum_is_shared_among_ties():
    values = torch.tensor([3.0, 1.0, 3.0], requires_grad=True)
    rank_pooling(values, 0).backward()
    assert values.grad.tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize("decay", [0.0, 0.8, 1.0])
def test_gradcheck(decay):
    values = torch.rand(2, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: rank_pooling(v, decay), values)


def test_weights():
    assert rank_weights(3, 0.5, torch.zeros(1)).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert rank_weights(3, 0, torch.zeros(1)).tolist() == [1, 0, 0]
    assert rank_weights(4, 1, torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_bad_input_gets_a_clear_error():
    with pytest.raises(ValueError, match=r"rank_weights: decay is 1\.1, expected a number in \[0, 1\]"):
        rank_weights(3, 1.1, torch.ones(1))
    for empty in (torch.ones(2, 0), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="at least one value"):
            rank_pooling(empty, 0.9)
    with pytest.raises(ValueError, match="n is 0"):
        rank_weights(0, 0.9, torch.ones(1))
