# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_debias.metrics import background_relevance
from tests.samples import HEATMAP, MASK

EXAMPLES = {background_relevance: {"relevance": HEATMAP, "mask": MASK}}


def example(*spatial: int, rows: int = 3, maps: int = 2, channels: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    relevance = torch.randn(rows, maps, channels, *spatial, generator=generator)
    mask = (torch.rand(rows, 1, *spatial, generator=generator) > 0.6).float()
    mask.flatten(1)[:, 0] = 1
    return relevance, mask


def test_worked_by_hand():
    relevance = torch.tensor([[[[3.0, -1.0], [0.0, -4.0]], [[2.0, 0.0], [0.0, 0.0]]]])  # two channels of 2 x 2
    mask = torch.tensor([[[[1, 0], [1, 0]]]])
    assert background_relevance(relevance, mask).tolist() == [0.5]  # (1 + 4) / (3 + 1 + 4 + 2)


@pytest.mark.parametrize("spatial", [(16,), (5, 7), (3, 4, 5), (2, 3, 2, 3)])
def test_every_row_and_map_by_the_formula(spatial):
    relevance, mask = example(*spatial)
    fractions = background_relevance(relevance, mask)
    assert fractions.shape == (3, 2)
    for r in range(3):
        for m in range(2):
            strength = relevance[r, m].abs()
            torch.testing.assert_close(fractions[r, m], (strength * (1 - mask[r])).sum() / strength.sum())
    torch.testing.assert_close(background_relevance(relevance[:, 0], mask), fractions[:, 0])


def test_a_row_depends_on_nothing_but_itself_and_not_on_its_scale():
    relevance, mask = example(6, 6)
    alone = background_relevance(relevance[1:2], mask[1:2])
    for scale in (1e-38, 1.0, 1e37):  # the sums alone would leave the range of float32
        torch.testing.assert_close(background_relevance(scale * relevance, mask)[1:2], alone, rtol=1e-5, atol=1e-6)


def test_a_larger_mask_counts_wherever_it_touches():
    mask = torch.zeros(1, 1, 4, 6)
    mask[..., 0, 0] = 1  # a single pixel of the 2 x 3 that the first of four positions stands for
    relevance = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert background_relevance(relevance, mask).item() == pytest.approx(0.9)


def test_types():
    relevance, mask = example(4, 4)
    expected = background_relevance(relevance, mask)
    for other in (mask.bool(), mask.to(torch.uint8), mask.numpy(), MetaTensor(mask)):
        result = background_relevance(MetaTensor(relevance), other)
        assert type(result) is torch.Tensor
        assert torch.equal(result, expected)


def test_it_can_be_differentiated():
    relevance, mask = example(3, 3)
    leaf = relevance.double().requires_grad_()
    background_relevance(leaf, mask).sum().backward()
    strength = relevance.double().abs().sum((-3, -2, -1), keepdim=True)
    fractions = background_relevance(relevance, mask)[..., None, None, None]
    torch.testing.assert_close(leaf.grad, relevance.sign() * ((1 - mask[:, None]) - fractions) / strength)


def test_bad_input_gets_a_clear_error():
    relevance, mask = example(4, 4)
    for wrong in (mask[:2], mask[0], mask.expand(3, 2, 4, 4), mask[..., 0]):
        with pytest.raises(ValueError, match=r"expected relevance \(R, maps, C, spatial...\)"):
            background_relevance(relevance, wrong)
    with pytest.raises(ValueError, match="expected relevance"):
        background_relevance(relevance[:0], mask[:0])
    with pytest.raises(ValueError, match=r"mask has values other than 0 and 1 .* in row\(s\) \[1\]"):
        background_relevance(relevance, mask.index_fill(0, torch.tensor([1]), 0.5))
    with pytest.raises(ValueError, match=r"mask is 0 everywhere in row\(s\) \[2\]"):
        background_relevance(relevance, mask.index_fill(0, torch.tensor([2]), 0))
    with pytest.raises(ValueError, match=r"relevance is 0 everywhere in row\(s\) \[0, 2\]"):
        background_relevance(relevance.index_fill(0, torch.tensor([0, 2]), 0), mask)
    for bad in (float("nan"), float("inf")):
        spoilt = relevance.clone()
        spoilt[1, 1, 0, 2, 2] = bad
        with pytest.raises(ValueError, match=r"relevance is NaN or infinite in row\(s\) \[1\]"):
            background_relevance(spoilt, mask)
    with pytest.raises(ValueError, match="give it the size of the relevance"):
        background_relevance(torch.ones(1, 1, 2, 2, 2, 2), torch.ones(1, 1, 4, 4, 4, 4))
