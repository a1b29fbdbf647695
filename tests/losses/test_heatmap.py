# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The losses of a heatmap: the authors' numbers, what changes nothing, and smoothness."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from monai_debias.losses.heatmap import MaskedHeatmap, background_loss, foreground_loss
from monai_debias.masks import as_region
from tests.losses.heatmap_batch import REFERENCE, batch
from tests.samples import HEATMAP, MASK

EXAMPLES = {
    background_loss: {"heatmap": HEATMAP, "mask": MASK},
    foreground_loss: {"heatmap": HEATMAP, "mask": MASK, "cuts": [0.1, 2.5]},
}


LOSSES = [key for key in REFERENCE if key.startswith("loss/")]


def test_the_reference_has_what_is_tested():
    assert len(LOSSES) == 2 * 3 * 2 * 2 * 3


@pytest.mark.parametrize("key", LOSSES)
def test_the_authors_heatmap_losses_and_their_gradients(key):
    _, maps, decay, penalty, normalization, cuts = key.split("/")
    c1, c2 = (float(number) for number in cuts.split("_")[1::2])
    heatmap = REFERENCE[f"heatmap/{maps}/zb0/eps0.01"].clone().requires_grad_()
    background = background_loss(heatmap, REFERENCE["mask"], float(decay[1:]), 1.0, normalization)
    foreground = foreground_loss(heatmap, REFERENCE["mask"], (c1, c2), penalty.lower())
    torch.testing.assert_close(background + foreground, REFERENCE[key], rtol=1e-5, atol=0)
    (background + foreground).sum().backward()
    norms = heatmap.grad.flatten(1).norm(dim=1)
    # a background of 200 times the foreground's mean: rounding u = g/(g + 1) to float32 shows in 1/(1 - u) as 1e-5
    rtol = 2e-5 if normalization == "RoIMean" else 1e-5
    torch.testing.assert_close(norms, REFERENCE[key.replace("loss", "loss_grad_l2norm", 1)], rtol=rtol, atol=0)


@pytest.mark.parametrize("normalization", ["absRoIMean", "RoIMean"])
@pytest.mark.parametrize("spatial", [(30,), (7, 6), (5, 4, 6)], ids=["1-D", "2-D", "3-D"])
def test_invariances(normalization, spatial):
    _, _, heatmap, mask = batch(spatial=spatial, maps=2)
    before = background_loss(heatmap, mask, normalization=normalization)
    assert (before > 0.1).all()
    scale = torch.tensor([1e-3, -1.0, 7.0, 1e4]).reshape(4, *[1] * (heatmap.ndim - 1))
    torch.testing.assert_close(background_loss(heatmap * scale, mask, normalization=normalization), before)
    assert (background_loss(heatmap * mask.unsqueeze(1), mask, normalization=normalization) == 0).all()
    assert (background_loss(heatmap, torch.ones_like(mask), normalization=normalization) == 0).all()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(background_loss(heatmap[order], mask[order], normalization=normalization), before[order])
    flipped = background_loss(heatmap.flip(-1), mask.flip(-1), normalization=normalization)
    torch.testing.assert_close(flipped, before)
    inside = foreground_loss(heatmap, mask, (0.5, 1.0))
    torch.testing.assert_close(foreground_loss(heatmap * mask.unsqueeze(1), mask, (0.5, 1.0)), inside)


def test_the_background_loss_is_cut_off_where_nothing_is_in_the_region():
    _, _, heatmap, mask = batch()
    heatmap = (heatmap * (1 - mask.unsqueeze(1))).requires_grad_()
    loss = background_loss(heatmap, mask)
    assert loss.tolist() == pytest.approx([-math.log(1e-7)] * 4, rel=0.02)  # 1 - 1e-7, rounded to float32
    loss.sum().backward()
    assert heatmap.grad.isfinite().all()


@pytest.mark.parametrize("penalty", ["hybrid", "l2"])
def test_the_foreground_loss_is_smooth_at_the_cuts(penalty):
    mask = torch.ones(1, 1, 1)
    for point in (0.5, 2.0) if penalty == "hybrid" else (0.5, 2.0, 2.5):
        sides = [
            torch.full((1, 1, 1, 1), point + step, dtype=torch.float64, requires_grad=True) for step in (-1e-6, 1e-6)
        ]
        values = [foreground_loss(side, mask, (0.5, 2.0), penalty) for side in sides]
        slopes = [torch.autograd.grad(value.sum(), side)[0].item() for value, side in zip(values, sides, strict=True)]
        assert values[0].item() == pytest.approx(values[1].item(), abs=1e-5)
        assert slopes[0] == pytest.approx(slopes[1], abs=1e-4)


def test_the_mask_is_pooled_to_the_map():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3, 2] = 1
    heatmap = torch.ones(1, 1, 1, 4, 4)
    pooled = torch.zeros(1, 1, 4, 4)
    pooled[..., 1, 1] = 1
    assert foreground_loss(heatmap, mask, (2, 3)).item() == pytest.approx(0.25)  # F = 1
    torch.testing.assert_close(background_loss(heatmap, mask), background_loss(heatmap, pooled))
    # sizes that do not divide: what a single positive pixel touches, in 3-D, too
    mask = torch.zeros(1, 1, 7, 5, 6)
    mask[..., 6, 4, 5] = 1
    inside = MaskedHeatmap(torch.ones(1, 1, 1, 3, 2, 4), as_region(mask)).inside.reshape(3, 2, 4)
    assert inside.nonzero().tolist() == [[2, 1, 3]]


def test_single_values_that_are_not_finite_are_repaired():
    _, _, heatmap, mask = batch()
    repaired = heatmap.clone()
    heatmap[0, 0, 0, 0, 0] = float("nan")
    heatmap[1, 0, 0, 2, 2] = float("inf")
    heatmap[2, 0, 1, 5, 4] = float("-inf")
    inside = (mask.unsqueeze(1).expand_as(heatmap) > 0) & heatmap.isfinite()
    repaired[0, 0, 0, 0, 0] = heatmap[inside].mean()
    repaired[1, 0, 0, 2, 2] = heatmap[heatmap.isfinite()].max()
    repaired[2, 0, 1, 5, 4] = heatmap[heatmap.isfinite()].min()
    broken = heatmap.clone().requires_grad_()
    for function in (background_loss, foreground_loss):
        with pytest.warns(UserWarning, match="3 of 240 values of the heatmap are NaN or infinite"):
            value = function(broken, mask)
        torch.testing.assert_close(value, function(repaired, mask))
        value.sum().backward()
    assert broken.grad.isfinite().all()
    assert (broken.grad[~heatmap.isfinite()] == 0).all()
    # huge finite values are no case for repair
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert background_loss(repaired * 1e30, mask).isfinite().all()
