# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stamps without masks: weak ones, such inside the region of interest, and networks that do not read them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_debias.audit import allowed_region, audit
from monai_debias.audit.checks import PatchUsed, StampUsed
from tests.audit.subjects import looks_at, make_items


def without_masks(n: int, **options) -> list[dict]:
    return [{key: item[key] for key in ("image", "label", "patient_id")} for item in make_items(n, **options)]


def test_a_weak_mark_is_found_without_masks_where_patches_cannot_tell():
    """The corner moves the answer a quarter as far as the middle does."""
    items = without_masks(400)
    found = audit(looks_at(10, 2), items, checks=[StampUsed(), PatchUsed()])
    stamp, patch = found.findings
    assert (stamp.verdict, stamp.details["boxes"]) == ("found", [[[14, 16], [14, 16]]])
    assert 0.02 <= stamp.effect < 0.3
    assert patch.verdict != "found"
    region = allowed_region(found)
    assert not region[:, 14:, 14:].any()
    assert region[:, 4:12, 4:12].all()


def test_the_effect_is_what_other_marks_cost():
    items, network = without_masks(300, bias=1.0), looks_at(10, 8)
    images = torch.stack([item["image"] for item in items])
    other, label = images.clone(), np.array([item["label"] for item in items])
    other[:, :, 14:, 14:] = 1 - images[:, :, 14:, 14:]  # 0.2 and 0.8 change places
    lost = np.mean(network(images).argmax(1).numpy() == label) - np.mean(network(other).argmax(1).numpy() == label)
    (one,) = audit(network, items, checks=[StampUsed()]).findings
    assert one.effect == pytest.approx(lost, abs=1e-9)


def test_a_stamp_that_is_not_read_is_no_finding_against_the_network():
    (one,) = audit(looks_at(10, 0), make_items(300), checks=[StampUsed()]).findings
    assert (one.effect, one.verdict) == (0.0, "not found")


def test_a_mark_inside_the_region_of_interest():
    items = make_items(300)
    for item in items:
        item["mask"] = torch.ones_like(item["mask"])
        item["mask"][:, :4, :4] = 0
    found = audit(looks_at(10, 8), items, checks=[StampUsed()])
    assert found.exit_code == 3


def test_what_cannot_be_checked():
    rng = np.random.default_rng(0)
    noise = [{"image": torch.from_numpy(rng.random((1, 16, 16))).float(), "label": i % 2} for i in range(40)]
    found = audit(looks_at(10, 0), noise, checks=[StampUsed()])
    assert found.findings == ()
    assert "no place shows the same few pictures" in found.not_checked["stamp"]
    for item in noise:
        item["image"] = (item["image"].mean((1, 2), keepdim=True) > 0.5).float().expand(1, 16, 16)
    found = audit(looks_at(10, 8), noise, checks=[StampUsed()])
    assert "cannot be told from what these images are of" in found.not_checked["stamp"]
    with pytest.raises(ValueError, match="stamp: it takes 8 patients or more, there are 4"):
        audit(looks_at(10, 8), make_items(4), checks=[StampUsed()])


def test_each_label_is_asked_for():
    items = [{**item, "label": torch.tensor([item["label"], i // 2 % 2])} for i, item in enumerate(make_items(200))]
    both = audit(lambda x: looks_at(1, 20)(x)[:, 1:].expand(-1, 2), items, "multi_label", checks=[StampUsed()])
    assert [(one.question, one.verdict == "found") for one in both.findings] == [("0", True), ("1", False)]
