# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is measured between the predictions of an image and of its exchanges."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from monai_debias.metrics.background_swap import background_swap_consistency
from tests.metrics.swap_batches import batches, cohort


def pair(background: float, other: float) -> list[dict[str, torch.Tensor]]:
    """Two images of a region, 0.5, and one background pixel."""
    images = torch.tensor([[[0.5, background]], [[0.5, other]]])
    return [{"image": images, "mask": torch.tensor([[[1, 0]], [[1, 0]]])}]


class Logits(nn.Module):
    """Logits as a function of the background pixel b."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.function(x[:, 0, 1]), 1)


def test_softmax_worked_by_hand():
    # three classes with the probabilities (1, 2, 1 + 2) / 6 and (1, 6, 1 + 2) / 10 for backgrounds 2 and 6
    network = Logits(lambda b: [b * 0, b.log(), b * 0 + math.log(3)])
    result = background_swap_consistency(network, pair(2.0, 6.0))
    assert result.consistency == 0
    assert result.probability_change == pytest.approx(((3 / 6 - 3 / 10) + (6 / 10 - 2 / 6)) / 2)
    result = background_swap_consistency(network, pair(1.0, 2.0))  # class 2 in both
    assert result.consistency == 1
    assert result.probability_change == pytest.approx(3 / 5 - 3 / 6)


def test_labels_worked_by_hand():
    network = Logits(lambda b: [b, -2 * b, b * 0 + 1, b + 3])
    p = torch.sigmoid(torch.tensor([[1.0, -2.0, 1.0, 4.0], [-1.0, 2.0, 1.0, 2.0]]))
    result = background_swap_consistency(network, pair(1.0, -1.0), task="multi_label")
    assert result.consistency == 0.5  # two of four labels
    assert result.probability_change == pytest.approx((p[0] - p[1]).abs().mean().item())
    assert background_swap_consistency(network, pair(1.0, -1.0)).consistency == 0.0  # as classes: 3, then 1 … and back


def test_one_logit_is_a_label():
    network = Logits(lambda b: [b])
    change = (torch.sigmoid(torch.tensor(1.0)) - torch.sigmoid(torch.tensor(-3.0))).item()
    for task in ("binary", "multi_label"):
        result = background_swap_consistency(network, pair(1.0, -3.0), task=task)
        assert result == (0.0, pytest.approx(change))
        for stays in ((1.0, 3.0), (-1.0, -3.0), (0.0, 1.0)):  # 0.5 is a yes
            assert background_swap_consistency(network, pair(*stays), task=task).consistency == 1
        assert background_swap_consistency(network, pair(0.0, -1e-3), task=task).consistency == 0
    with pytest.raises(ValueError, match="there are 1 outputs, but the task 'softmax' has 2 or more"):
        background_swap_consistency(network, pair(1.0, 2.0))


def test_thresholds_decide_what_a_change_is():
    network = Logits(lambda b: [b, b])  # sigmoid(1) = 0.73, sigmoid(2) = 0.88
    for thresholds, consistency in ((0.5, 1.0), (0.8, 0.0), ([0.5, 0.8], 0.5)):
        found = background_swap_consistency(network, pair(1.0, 2.0), task="multi_label", thresholds=thresholds)
        assert found.consistency == consistency


def test_decisions_are_those_of_the_logits_where_probabilities_round_to_a_tie():
    network = Logits(lambda b: [b * 0, b])
    assert background_swap_consistency(network, pair(1e-9, -1e-9)).consistency == 0


def test_probabilities_of_half_precision_are_single():
    network = Logits(lambda b: [b.bfloat16()])
    change = (torch.sigmoid(torch.tensor(1.0)) - torch.sigmoid(torch.tensor(-3.0))).item()
    result = background_swap_consistency(network, pair(1.0, -3.0), task="binary")
    assert result == (0.0, pytest.approx(change, abs=1e-6))


def test_a_share_of_images():
    images = torch.tensor([0.0, 0.0, 0.0, 1.0]).reshape(4, 1, 1).repeat(1, 1, 2)
    loader = [{"image": images, "mask": torch.tensor([1, 0]).expand(4, 1, 2)}]
    network = Logits(lambda b: [b - 0.5])
    change = (torch.sigmoid(torch.tensor(0.5)) - torch.sigmoid(torch.tensor(-0.5))).item()
    # the one with a background gets none, and one gets its
    for n_swaps, size in ((1, 4), (2, 4), (3, 4), (3, 3), (3, 1)):
        parts = batches(loader[0]["image"], loader[0]["mask"], size)
        result = background_swap_consistency(network, parts, n_swaps=n_swaps, task="binary")
        assert result.consistency == 0.5
        assert result.probability_change == pytest.approx(0.5 * change)


def test_who_looks_at_the_region_only_is_consistent_and_who_looks_at_the_background_is_not():
    generator = torch.Generator().manual_seed(0)
    images, masks = torch.rand(60, 1, 8, 8, generator=generator), torch.zeros(60, 1, 8, 8)
    masks[..., 2:6, 2:6] = 1

    def network(region: torch.Tensor) -> nn.Module:
        weight = torch.randn(3, 64, generator=torch.Generator().manual_seed(1)) * region.flatten()
        linear = nn.Linear(64, 3, bias=False)
        linear.weight.data = weight
        return nn.Sequential(nn.Flatten(), linear)

    loader = batches(images, masks, 16)
    assert background_swap_consistency(network(masks[0]), loader, n_swaps=4) == (1.0, 0.0)
    background = background_swap_consistency(network(1 - masks[0]), loader, n_swaps=4)
    assert background.consistency < 0.8
    assert background.probability_change > 0.1


def test_the_seed_decides_and_batches_do_not():
    images, masks = cohort(8, 8, n=30)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    results = [background_swap_consistency(network, batches(images, masks), seed=seed) for seed in (0, 0, 1, 2)]
    assert results[0] == results[1]
    assert len(set(results)) == 3
    whole = background_swap_consistency(network, batches(images, masks, 30))
    assert whole == pytest.approx(results[0], abs=1e-6)
    other = [{"scan": b["image"].numpy(), "roi": b["mask"].numpy().astype(bool)} for b in batches(images, masks)]
    assert background_swap_consistency(network, other, image_key="scan", mask_key="roi") == results[0]
