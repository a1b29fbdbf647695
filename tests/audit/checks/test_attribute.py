# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_debias.audit import audit
from monai_debias.audit.checks import AttributeUsed
from tests.audit.subjects import looks_at, make_items


@pytest.mark.parametrize(("every", "verdict", "most"), [(50, "too little data", 0.84), (2, "not found", 0.04)])
def test_a_few_conflicting_images_that_are_recognised_are_no_all_clear(every, verdict, most):
    """Of 2 patients all are right with a chance of 2.5 % although 84 in 100 of their kind are wrong; of 100, 4."""
    items = make_items(200 if every == 2 else 100)
    for number, item in enumerate(items):
        item["image"][:, 4:12, 4:12] = 0.1 + 0.8 * item["label"]
        mark = item["label"] ^ (number // 2 % every == 0)
        item["image"][:, 14:, 14:], item["scanner"] = 0.2 + 0.6 * mark, "AB"[mark]
    (finding,) = audit(looks_at(10, 1), items, attributes=["scanner"], checks=[AttributeUsed()]).findings
    assert finding.details["conflicting images"] in (2, 100)
    assert (finding.effect, finding.verdict) == (0, verdict)
    assert finding.high == pytest.approx(most, abs=0.005)
