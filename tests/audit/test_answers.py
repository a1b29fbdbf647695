# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_debias.audit import audit
from monai_debias.audit.answers import are_probabilities, logits_of
from monai_debias.audit.checks import AttributeEncoded, BackgroundUsed, RelevanceOutside
from tests.audit.subjects import LooksAt, looks_at, make_items

ITEMS = make_items(60)
NETWORK = looks_at(10, 8)


def background(network, task="softmax", items=ITEMS):
    """The finding about backgrounds, and what limits the audit."""
    found = audit(network, items, task, checks=[BackgroundUsed()])
    return found.findings[0], " ".join(found.notes)


def test_outputs_that_are_no_logits_alone_are_understood_and_told():
    logits, _ = background(NETWORK)
    first, notes = background(lambda x: (NETWORK(x), x))
    assert first == logits
    assert "returns 2 values; the first one" in notes
    named, notes = background(lambda x: {"features": x, "logits": NETWORK(x)})
    assert named == logits
    assert "returns 2 values; 'logits' is taken" in notes
    with pytest.raises(ValueError, match="a dictionary of 'features', 'classes': wrap it in a function"):
        background(lambda x: {"features": x, "classes": NETWORK(x)})
    probabilities, notes = background(lambda x: NETWORK(x).softmax(1))
    assert probabilities.effect == logits.effect
    assert probabilities.details == {k: pytest.approx(v, abs=1e-6) for k, v in logits.details.items()}
    assert "are probabilities" in notes


def test_heatmaps_of_a_network_with_several_values_are_of_the_first():
    class WithFeatures(LooksAt):
        def forward(self, x):
            return super().forward(x), x

    class Named(LooksAt):
        def forward(self, x):
            return {"pred": super().forward(x)}

    alone, several, named = (
        audit(network, ITEMS, checks=[RelevanceOutside(most=4)]).findings[0].effect
        for network in (LooksAt(), WithFeatures(), Named())
    )
    assert several == named == pytest.approx(alone)


def test_a_binary_task_answers_with_a_number_or_a_probability_of_each_image():
    logits, _ = background(lambda x: NETWORK(x)[:, 1:] * 2, "binary")
    numbers, _ = background(lambda x: NETWORK(x)[:, 1] * 2, "binary")
    probabilities, notes = background(lambda x: NETWORK(x).softmax(1)[:, 1], "binary")
    assert numbers == logits
    assert probabilities.effect == logits.effect
    assert "are probabilities" in notes


@pytest.mark.parametrize("task", ["softmax", "binary", "multi_label"])
def test_logits_of_probabilities(task):
    logits = torch.tensor([[-3.0, 0.5, 2.0], [0.0, 1.0, -1.0]])
    probabilities = logits.softmax(1) if task == "softmax" else logits.sigmoid()
    assert are_probabilities(probabilities, task)
    assert not are_probabilities(logits, task)
    again = logits_of(probabilities, task)
    again = again.softmax(1) if task == "softmax" else again.sigmoid()
    assert torch.allclose(again, probabilities, atol=1e-6)
    assert logits_of(torch.eye(2), task).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_gets_images_of_its_own(dtype):
    items = [{**item, "room": str(i % 2)} for i, item in enumerate(ITEMS)]
    checks = [BackgroundUsed(), AttributeEncoded(), RelevanceOutside(most=4)]
    network = LooksAt().to(dtype)
    found = audit(network, items, attributes=["room"], checks=checks)
    single = audit(LooksAt(), items, attributes=["room"], checks=checks)
    assert found.findings[0].effect == pytest.approx(single.findings[0].effect, abs=0.05)
    assert [one.check for one in found.findings] == [one.check for one in single.findings]
    assert next(network.parameters()).dtype == dtype
