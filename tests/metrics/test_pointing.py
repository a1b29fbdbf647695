# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_debias.metrics.heatmaps import attention_at
from monai_debias.metrics.pointing import pointing_game, relevance_focus
from tests.samples import HEATMAP, MASK

_MAPS = {"relevance": HEATMAP, "mask": MASK}
EXAMPLES = {pointing_game: _MAPS, relevance_focus: _MAPS}


def example(*spatial: int, rows: int = 40, maps: int = 2, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    relevance = torch.randn(rows, maps, channels, *spatial, generator=generator)
    mask = (torch.rand(rows, 1, *spatial, generator=generator) > 0.6).float()
    mask.flatten(1)[:, 0] = 1
    return relevance, mask


def line(*values: float) -> torch.Tensor:
    """One row of one channel."""
    return torch.tensor([[values]])


# ---------------------------------------------------------------- pointing_game


def test_the_strongest_position_decides():
    relevance = torch.tensor([[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]], [[9.0, 2.0, 3.0]]])
    mask = torch.tensor([[[0, 0, 1]], [[1, 1, 0]], [[1, 0, 0]]])
    assert pointing_game(relevance, mask).tolist() == [True, False, True]


def test_negative_relevance_is_attention_too():
    assert pointing_game(line(1.0, -2.0), line(0, 1)).tolist() == [True]
    assert pointing_game(line(1.0, -2.0), line(1, 0)).tolist() == [False]


def test_channels_are_summed_without_cancelling():
    relevance = torch.tensor([[[4.0, 3.0], [0.0, 3.0]]])  # 4 and 6: the largest single value is elsewhere
    assert pointing_game(relevance, line(0, 1)).tolist() == [True]
    relevance = torch.tensor([[[3.0, -3.0], [1.0, 3.0]]])  # 4 and 6, where the signed sum is 0
    assert pointing_game(relevance, line(0, 1)).tolist() == [True]


def test_all_that_tie_must_lie_in_the_region():
    for relevance in (line(2.0, 2.0, 1.0), line(-2.0, 2.0, 1.0)):
        for mask, hit in ((line(1, 1, 0), True), (line(1, 0, 0), False), (line(0, 1, 1), False)):
            assert pointing_game(relevance, mask).tolist() == [hit]


@pytest.mark.parametrize("spatial", [(16,), (5, 7), (3, 4, 5), (2, 3, 2, 3)])
def test_every_row_and_map_by_a_search(spatial):
    relevance, mask = example(*spatial)
    hits = pointing_game(relevance, mask)
    assert hits.shape == (40, 2)
    assert hits.dtype == torch.bool
    assert hits.any()
    assert not hits.all()
    for r in range(40):
        for m in range(2):
            position = relevance[r, m].abs().sum(0).flatten().argmax()
            assert hits[r, m].item() == (mask[r].flatten()[position] == 1)
    assert torch.equal(pointing_game(relevance[:, 0], mask), hits[:, 0])


# ---------------------------------------------------------------- relevance_focus


@pytest.mark.parametrize(
    ("quantile", "expected"),
    [(0.01, 1.0), (0.2, 1.0), (0.4, 0.5), (0.6, 2 / 3), (0.8, 0.5), (1.0, 0.4)],  # 1, 1, 2, 3, 4, 5 positions
)
def test_focus_worked_by_hand(quantile, expected):
    relevance, mask = line(1.0, -5.0, 4.0, -3.0, 2.0), line(0, 1, 0, 1, 0)
    assert relevance_focus(relevance, mask, quantile).tolist() == pytest.approx([expected])


def test_a_number_of_positions_is_rounded():
    relevance, mask = line(*range(100, 0, -1)), line(*[1] * 7, *[0] * 93)
    assert relevance_focus(relevance, mask, 0.07).item() == 1  # 0.07 · 100 is above 7 in floating point
    assert relevance_focus(relevance, mask, 0.076).item() == 7 / 8
    assert relevance_focus(relevance, mask).item() == 1
    assert relevance_focus(relevance, line(*[1] * 4, *[0] * 96)).item() == pytest.approx(4 / 5)  # the default is 5 %


def test_ties_count_by_their_chance():
    relevance = line(9.0, 2.0, 2.0, -2.0, 1.0)
    # the strongest, and one of the three that tie
    assert relevance_focus(relevance, line(1, 1, 0, 0, 0), 0.4).item() == pytest.approx((1 + 1 / 3) / 2)
    assert relevance_focus(relevance, line(0, 1, 0, 1, 1), 0.4).item() == pytest.approx((0 + 2 / 3) / 2)
    assert relevance_focus(relevance, line(0, 1, 1, 1, 0), 0.8).item() == pytest.approx(3 / 4)
    for quantile in (0.2, 0.5, 1.0):  # a flat map has no focus beyond the share of the region
        assert relevance_focus(torch.ones(1, 1, 10), line(*[1] * 3, *[0] * 7), quantile).item() == pytest.approx(0.3)


@pytest.mark.parametrize("spatial", [(16,), (5, 7), (3, 4, 5), (2, 3, 2, 3)])
def test_every_row_and_map_by_sorting(spatial):
    relevance, mask = example(*spatial)
    shares = relevance_focus(relevance, mask, 0.25)
    assert shares.shape == (40, 2)
    n_top = round(0.25 * mask[0].numel())
    for r in range(40):
        for m in range(2):
            top = relevance[r, m].abs().sum(0).flatten().argsort(descending=True)[:n_top]
            torch.testing.assert_close(shares[r, m], mask[r].flatten()[top].mean())
    assert torch.equal(relevance_focus(relevance[:, 0], mask, 0.25), shares[:, 0])


def test_one_position_is_the_pointing_game():
    relevance, mask = example(5, 7)
    assert torch.equal(relevance_focus(relevance, mask, 1e-6).bool(), pointing_game(relevance, mask))


# ---------------------------------------------------------------- all of them


METRICS = pytest.mark.parametrize("metric", [pointing_game, relevance_focus])


@METRICS
def test_the_scale_of_a_row_does_not_matter(metric):
    relevance, mask = example(6, 6)
    for scale in (1e-38, 1e37):  # sums alone would leave the range of float32
        assert torch.equal(metric(scale * relevance, mask)[3:4], metric(relevance[3:4], mask[3:4]))


@METRICS
def test_a_larger_mask_counts_wherever_it_touches(metric):
    mask = torch.zeros(1, 1, 4, 6)
    mask[..., 3, 5] = 1  # a single pixel of the 2 x 3 that the last of four positions stands for
    assert metric(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), mask).item() == 1
    assert metric(torch.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), mask).item() == 0


@METRICS
def test_types(metric):
    relevance, mask = example(4, 4)
    expected = metric(relevance, mask)
    for other in (mask.bool(), mask.to(torch.uint8), mask.numpy(), MetaTensor(mask)):
        for heatmap in (MetaTensor(relevance), relevance.numpy(), relevance.clone().requires_grad_()):
            result = metric(heatmap, other)
            assert type(result) is torch.Tensor
            assert torch.equal(result, expected)


@METRICS
def test_bad_input_gets_a_clear_error(metric):
    relevance, mask = example(4, 4, rows=3)
    for wrong in (mask[:2], mask[0], mask.expand(3, 2, 4, 4), mask[..., 0]):
        with pytest.raises(ValueError, match=r"expected relevance \(R, maps, C, spatial...\)"):
            metric(relevance, wrong)
    with pytest.raises(ValueError, match=r"mask has values other than 0 and 1 .* in row\(s\) \[1\]"):
        metric(relevance, mask.index_fill(0, torch.tensor([1]), 0.5))
    with pytest.raises(ValueError, match=r"mask is 0 everywhere in row\(s\) \[2\]"):
        metric(relevance, mask.index_fill(0, torch.tensor([2]), 0))
    with pytest.raises(ValueError, match=r"relevance is 0 everywhere in row\(s\) \[0, 2\]"):
        metric(relevance.index_fill(0, torch.tensor([0, 2]), 0), mask)
    for bad in (float("nan"), float("-inf")):
        spoilt = relevance.clone()
        spoilt[1, 1, 0, 2, 2] = bad
        with pytest.raises(ValueError, match=r"relevance is NaN or infinite in row\(s\) \[1\]"):
            metric(spoilt, mask)


def test_attention_is_relative_to_the_largest_value_of_each_map():
    relevance = torch.tensor([[[[2.0, -8.0], [4.0, 0.0]], [[0.0, 0.0], [-1.0, 3.0]]]])  # a row, two maps, two channels
    attention, inside = attention_at(relevance, torch.tensor([[[0, 1]]]))
    torch.testing.assert_close(attention, torch.tensor([[[0.75, 1.0], [1 / 3, 1.0]]]))
    assert inside.tolist() == [[[False, True]]]
