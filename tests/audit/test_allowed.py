# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from monai_debias.audit import allowed_region, audit
from monai_debias.audit.checks import PatchUsed
from monai_debias.transforms import backmix
from tests.audit.subjects import looks_at, make_items

ITEMS = [{key: item[key] for key in ("image", "label", "patient_id")} for item in make_items(200, bias=1.0)]
FOUND = audit(looks_at(1, 20), ITEMS, checks=[PatchUsed()])
EXAMPLES = {allowed_region: {"audit": FOUND}}


def test_the_mask_leaves_out_the_mark_and_backmix_takes_it():
    region = allowed_region(FOUND)
    assert region.shape == (1, 16, 16)
    assert not region[:, 14:, 14:].any()
    assert region.float().mean() > 0.8
    assert region[:, 4:12, 4:12].all()
    mixed = backmix(ITEMS[0]["image"], region, ITEMS[1]["image"], region)
    assert torch.equal(mixed[:, 14:, 14:], ITEMS[1]["image"][:, 14:, 14:])
    assert torch.equal(mixed[:, :12], ITEMS[0]["image"][:, :12])


def test_nothing_is_left_out_where_no_patch_decides():
    found = audit(looks_at(10, 0), ITEMS, checks=[PatchUsed()])
    assert [one.verdict == "found" for one in found.findings] == [False]
    assert allowed_region(found) is None
