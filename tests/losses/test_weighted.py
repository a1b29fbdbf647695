# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.losses import FocalLoss
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss

from monai_debias.attached import attach
from monai_debias.losses import SampleWeightedLoss

EXAMPLES = {
    SampleWeightedLoss: [
        {},
        {
            "classification_loss": {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"},
            "ignore_value": -1,
            "reduction": "sum",
        },
        {"ignore_value": [-1, -100], "reduction": "none"},
    ],
    SampleWeightedLoss.forward: {
        "pred": torch.tensor([[1.0, 2.0], [0.5, -1.0]]),
        "label": attach(torch.tensor([0, 1]), weight=torch.tensor([0.5, 1.5])),
    },
}


@pytest.mark.parametrize("loss", [CrossEntropyLoss, BCEWithLogitsLoss, FocalLoss])
def test_it_is_the_weighted_mean_of_the_single_losses(loss):
    generator = torch.Generator().manual_seed(0)
    logits, weight = torch.randn(5, 3, generator=generator), torch.rand(5, generator=generator)
    label = torch.tensor([0, 2, 1, 1, 0])
    if loss is not CrossEntropyLoss:
        label = torch.nn.functional.one_hot(label, 3).float()
    weighted = SampleWeightedLoss(loss(reduction="none"))(logits, attach(label, weight=weight))
    single = torch.stack([loss(reduction="mean")(logits[i : i + 1], label[i : i + 1]) for i in range(5)])
    assert weighted.item() == pytest.approx((single * weight).mean().item(), rel=1e-6)
    total = SampleWeightedLoss(loss(reduction="none"), reduction="sum")(logits, attach(label, weight=weight))
    assert total.item() == pytest.approx((single * weight).sum().item(), rel=1e-6)


def test_bad_input_gets_a_clear_error():
    loss, logits, label = (
        SampleWeightedLoss(CrossEntropyLoss(reduction="none")),
        torch.zeros(2, 3),
        torch.zeros(2).long(),
    )
    with pytest.raises(ValueError, match='reduction="none"'):
        SampleWeightedLoss(CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"no weight is attached .*PrepareBatchAttached"):
        loss(logits, label)
    with pytest.raises(ValueError, match=r"shape \(2,\), got \(3,\)"):
        loss(logits, attach(label, weight=torch.ones(3)))
    for bad in (float("nan"), -1.0):
        with pytest.raises(ValueError, match="finite and 0 or more"):
            loss(logits, attach(label, weight=torch.tensor([1.0, bad])))
