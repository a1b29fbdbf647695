# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from monai.losses import FocalLoss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from monai_debias.attached import attach
from monai_debias.losses import (
    BackgroundConsistencyLoss,
    ISNetLRPLoss,
    SampleWeightedLoss,
    SpectralDecouplingLoss,
    TaskLoss,
    nested_loss,
)

EXAMPLES = {
    BackgroundConsistencyLoss: [
        {},
        {
            "classification_loss": {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"},
            "consistency_weight": 1.0,
            "ignore_value": -1,
            "reduction": "sum",
        },
        {"classification_loss": "bce", "reduction": "none"},
    ],
    BackgroundConsistencyLoss.forward: {
        "pred": attach(torch.eye(2), swapped={"rows": torch.tensor([1]), "logits": torch.ones(1, 2)}),
        "label": torch.eye(2),
    },
}
LABEL = torch.tensor([0, 2, 1, 1])
ROWS = torch.tensor([1, 3])


def pair(pred: torch.Tensor, swapped: torch.Tensor, rows: torch.Tensor = ROWS) -> torch.Tensor:
    return attach(pred, swapped={"rows": rows, "logits": swapped})


def logits(seed: int = 0, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, k, generator=generator).double(), torch.randn(2, k, generator=generator).double()


def test_by_hand():
    """p = (1/2, 1/4, 1/4) and (1/4, 1/2, 1/4): 2/16; a network that changes its mind entirely: 2."""
    pred = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]).log()
    swapped = torch.tensor([[1.0, 2.0, 1.0]]).log()
    loss = BackgroundConsistencyLoss(consistency_weight=4.0)
    value = loss(pair(pred, swapped, torch.tensor([0])), torch.tensor([0, 0, 0]))
    assert value.item() == pytest.approx((math.log(2) + 2 * math.log(3)) / 3 + 4 * 0.125)
    assert loss.terms["consistency"].item() == pytest.approx(0.125)
    sure = torch.tensor([[100.0, 0.0]])
    loss(pair(sure, sure.flip(1), torch.tensor([0])), torch.tensor([0]))
    assert loss.terms["consistency"].item() == pytest.approx(2.0)


def test_rows_without_a_pair_have_their_classification_alone():
    pred, swapped = logits()
    rows = BackgroundConsistencyLoss(reduction="none")(pair(pred, swapped), LABEL)
    each = cross_entropy(pred, LABEL, reduction="none")
    distance = (pred[ROWS].softmax(1) - swapped.softmax(1)).square().sum(1)
    torch.testing.assert_close(rows[[0, 2]], each[[0, 2]])
    torch.testing.assert_close(rows[ROWS], each[ROWS] + 5 * distance * 4 / 2)
    mean = BackgroundConsistencyLoss()(pair(pred, swapped), LABEL)
    torch.testing.assert_close(mean, each.mean() + 5 * distance.mean())
    torch.testing.assert_close(mean, rows.mean())


def test_without_any_pair_it_is_the_classification_loss():
    pred, _ = logits()
    loss = BackgroundConsistencyLoss()
    for given in (pred, pair(pred, pred[:0], ROWS[:0])):
        torch.testing.assert_close(loss(given, LABEL), cross_entropy(pred, LABEL))
        assert loss.terms.keys() == {"classification"}


@pytest.mark.parametrize("k", [1, 3])
def test_of_sigmoids_it_is_the_mean_of_the_labels_distances(k):
    pred, swapped = logits(k=k)
    label = (torch.arange(4 * k).reshape(4, k) % 2).double()
    value = BackgroundConsistencyLoss("bce" if k > 1 else None)(pair(pred, swapped), label)
    p, q = pred[ROWS].sigmoid(), swapped.sigmoid()
    both = torch.stack([p, 1 - p]) - torch.stack([q, 1 - q])  # each label tells two classes apart
    expected = binary_cross_entropy_with_logits(pred, label) + 5 * both.square().sum(0).mean()
    torch.testing.assert_close(value, expected)


def test_one_logit_is_the_softmax_of_two():
    pred, swapped = logits(k=1)
    one = BackgroundConsistencyLoss()(pair(pred, swapped), LABEL % 2)
    two = BackgroundConsistencyLoss()(
        pair(*(torch.cat([torch.zeros_like(z), z], 1) for z in (pred, swapped))), LABEL % 2
    )
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("task", ["softmax", "binary", "multi_label"])
def test_gradients_of_both_predictions_by_finite_differences(task):
    pred, swapped = (z.requires_grad_() for z in logits(k=1 if task == "binary" else 3))
    label = {"softmax": LABEL, "binary": LABEL % 2, "multi_label": torch.tensor([[0, 1, -1]] * 4).double()}[task]
    loss = BackgroundConsistencyLoss(TaskLoss(task, ignore_value=-1, reduction="none"))
    assert torch.autograd.gradcheck(lambda a, b: loss(pair(a, b), label), (pred, swapped))


def test_missing_labels_do_not_count_and_their_predictions_do():
    pred, swapped = logits()
    label = torch.tensor([0, -1, -1, 1])
    value = BackgroundConsistencyLoss(ignore_value=-1)(pair(pred, swapped), label)
    distance = (pred[ROWS].softmax(1) - swapped.softmax(1)).square().sum(1)
    torch.testing.assert_close(value, cross_entropy(pred, label, ignore_index=-1) + 5 * distance.mean())


def test_around_other_losses_and_inside_an_isnets():
    pred, swapped = logits()
    weight, heatmap = torch.tensor([2.0, 1.0, 0.0, 1.0]).double(), torch.rand(4, 1, 1, 2, 2).double()
    label = attach(LABEL, weight=weight, mask=torch.eye(2).expand(4, 1, 2, 2))
    parts = [ISNetLRPLoss, BackgroundConsistencyLoss, SampleWeightedLoss, SpectralDecouplingLoss]
    loss = nested_loss(None, {kind.__name__: kind for kind in parts})
    value = loss(attach(pair(pred, swapped), heatmap=heatmap), label)
    inner = (cross_entropy(pred, LABEL, reduction="none") + 0.05 * pred.square().sum(1)) * weight
    distance = (pred[ROWS].softmax(1) - swapped.softmax(1)).square().sum(1)
    heat = loss.terms["background"] + loss.terms["foreground"]
    p = loss.relevance_weight
    torch.testing.assert_close(value, (1 - p) * (inner.mean() + 5 * distance.mean()) + p * heat)
    assert [part for part in map(type, loss.modules()) if part in parts] == parts


def test_half_precision_is_compared_in_float32():
    pred, swapped = (z.to(torch.bfloat16).requires_grad_() for z in logits())
    loss = BackgroundConsistencyLoss()
    with torch.autocast("cpu", torch.bfloat16):
        loss(pair(pred, swapped), LABEL).backward()
    exact = (pred[ROWS].double().softmax(1) - swapped.double().softmax(1)).square().sum(1).mean()
    assert loss.terms["consistency"].dtype == torch.float32
    assert loss.terms["consistency"].item() == pytest.approx(exact.item(), rel=1e-5)
    assert bool(swapped.grad.isfinite().all())


def test_bad_input_gets_a_clear_error():
    pred, swapped = logits()
    with pytest.raises(ValueError, match=r"those of 2 swapped rows, \(R, K\), got \(4, 3\) and \(1, 3\)"):
        BackgroundConsistencyLoss()(pair(pred, swapped[:1]), LABEL)
    with pytest.raises(FloatingPointError, match=r"distances between the predictions .* 1 of 2 rows"):
        BackgroundConsistencyLoss()(pair(pred, swapped * torch.tensor([[1.0], [math.nan]])), LABEL)
    one_hot = torch.eye(3)[LABEL].double()
    with pytest.raises(ValueError, match="unknown whether the 3 logits of FocalLoss are those of a softmax"):
        BackgroundConsistencyLoss(FocalLoss(reduction="none"))(pair(pred, swapped), one_hot)
    BackgroundConsistencyLoss(FocalLoss(reduction="none"), multi_label=True)(pair(pred, swapped), one_hot)
    with pytest.raises(ValueError, match=r"multi_label=True contradicts .* CrossEntropy, which is for a softmax"):
        BackgroundConsistencyLoss(SpectralDecouplingLoss(reduction="none"), multi_label=True)
    with pytest.raises(ValueError, match=r"consistency_weight is -1"):
        BackgroundConsistencyLoss(consistency_weight=-1.0)
