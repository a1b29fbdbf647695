# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from functools import partial

import pytest
import torch

from monai_debias.losses import ISNetLRPLoss, MixupLoss, SampleWeightedLoss, SpectralDecouplingLoss, nested_loss

EXAMPLES = {nested_loss: {"classification_loss": None, "parts": {"isnet": ISNetLRPLoss}}}

PARTS = {
    "heat": ISNetLRPLoss,
    "weights": SampleWeightedLoss,
    "mixup": partial(MixupLoss, groups=["unmixed", "mixed"]),
    "penalty": partial(SpectralDecouplingLoss, penalty_weight=1.0),
}


@pytest.mark.parametrize("names", [list(PARTS), list(PARTS)[::-1], ["penalty", "heat"], ["mixup"]])
def test_one_order_however_they_are_given(names):
    loss = nested_loss("bce", {name: PARTS[name] for name in names}, "sum")
    parts = [part for part in loss.modules() if type(part).__module__.startswith("monai_debias.losses")]
    kinds = [getattr(part, "func", part) for name, part in PARTS.items() if name in names]
    assert [type(part) for part in parts][: len(names)] == kinds
    assert [part.reduction for part in parts[: len(names)]] == ["sum"] + ["none"] * (len(names) - 1)


def test_without_parts_it_is_the_classification_loss():
    own = torch.nn.CrossEntropyLoss()
    assert nested_loss(own, {}) is own


def test_two_of_a_kind_do_not_go_together():
    with pytest.raises(ValueError, match="one and two cannot be combined: each puts a MixupLoss around"):
        nested_loss(None, {"one": MixupLoss, "two": PARTS["mixup"]})
