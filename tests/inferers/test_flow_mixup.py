# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from monai.inferers import SimpleInferer

from monai_debias.attached import attach, attached
from monai_debias.inferers import FlowMixupInferer
from tests.samples import IMAGE, four_logits

EXAMPLES = {FlowMixupInferer: [{}], FlowMixupInferer.__call__: {"inputs": IMAGE, "network": four_logits()}}


def test_the_logits_are_those_of_the_images_and_carry_those_of_all_rows():
    rows = torch.cat([IMAGE, 1 - IMAGE, IMAGE**2])
    logits = FlowMixupInferer()(attach(IMAGE, rows=rows), four_logits())
    assert torch.equal(logits.as_subclass(torch.Tensor), four_logits()(IMAGE))
    assert torch.equal(attached(logits, "rows"), four_logits()(rows))


def test_a_plain_batch_is_inferred_as_it_is():
    for inferer in (None, SimpleInferer()):
        logits = FlowMixupInferer(inferer)(IMAGE, four_logits())
        assert torch.equal(logits, four_logits()(IMAGE))
        assert attached(logits, "rows") is None
