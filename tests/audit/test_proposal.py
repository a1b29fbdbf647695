# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch

from monai_debias.audit import allowed_region, audit
from monai_debias.audit.boxes import box_mask
from monai_debias.audit.checks import PatchUsed
from monai_debias.audit.proposal import nested, ranked_boxes

PLACES = [(0, 0), (0, 14), (7, 0), (14, 0)]  # of the mark of each class


def marked_items(n: int) -> list[dict]:
    """Images (1, 16, 16) of noise, with a mark of 2 × 2 whose place names one of four classes."""
    rng, items = np.random.default_rng(0), []
    for i in range(n):
        image = torch.from_numpy(rng.random((1, 16, 16)).astype(np.float32)) / 2
        row, column = PLACES[i % 4]
        image[:, row : row + 2, column : column + 2] = 1
        items.append({"image": image, "label": i % 4, "patient_id": i})
    return items


def reads_the_marks(x: torch.Tensor) -> torch.Tensor:
    """Four logits: how bright it is in the place of each class."""
    return 20 * torch.stack([x[:, 0, r : r + 2, c : c + 2].mean((1, 2)) for r, c in PLACES], 1)


def test_marks_whose_place_differs_by_class_are_found_without_masks():
    found = audit(reads_the_marks, marked_items(240), checks=[PatchUsed()])
    (one,) = found.findings
    assert (one.verdict, one.effect) == ("found", 1.0)
    where = box_mask([tuple(map(tuple, box)) for box in one.details["boxes"]], (16, 16))
    marks = box_mask([((r, r + 2), (c, c + 2)) for r, c in PLACES], (16, 16))
    assert where.sum() <= 24  # the marks are 16 pixels, and a part of one may decide
    assert not (allowed_region(found)[0].bool() & marks).any()


def test_those_who_propose_and_those_who_decide_are_different_patients():
    asked: list[set[int]] = []

    def network(x):
        asked.append({int(value) for value in x[:, 0, 8, 8].mul(1e4).round()})
        return reads_the_marks(x)

    items = marked_items(80)
    for i, item in enumerate(items):
        item["image"][:, 8, 8] = i / 1e4  # no place that is exchanged
    (one,) = audit(network, items, checks=[PatchUsed(n_proposing=400)], batch_size=400).findings
    _, _, proposing, *_ = asked  # after all were read, and the time of a batch was taken
    deciding = set().union(*asked[-4:])
    assert not any(8 in range(*box[0]) and 8 in range(*box[1]) for box in one.details["boxes"])
    assert len(proposing) >= 30
    assert not proposing & deciding


def test_nothing_is_proposed_of_one_class_or_one_patient():
    subject = audit(reads_the_marks, marked_items(40), checks=[PatchUsed()]).subject
    one_class = np.flatnonzero(subject.questions[0].classes == 1)
    rng = np.random.default_rng(0)
    assert len(ranked_boxes(subject, subject.questions[0], one_class, False, 50, rng)) >= 1
    subject.patients[:] = 0
    assert len(ranked_boxes(subject, subject.questions[0], np.arange(40), False, 50, rng)) >= 1


def test_sets_grow_up_to_a_share_of_the_image():
    boxes = [((k, k + 1),) for k in range(16)]
    assert [len(some) for some in nested(boxes, (16,), 0.5)] == [1, 2, 3, 4, 6, 8]
    assert [len(some) for some in nested(boxes[:1], (1,), 0.125)] == [1]
