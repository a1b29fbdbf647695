# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The labels that a mixing takes and makes: indices, rows, several of them, and missing ones."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch.nn import functional as F  # noqa: N812

from monai_debias.transforms.mix_batch import MixBatch
from tests.transforms.mixing import LAYERS, Stages, batch

ONE_HOT = torch.eye(3)[[0, 1, 2, 1]]


SOFT = torch.tensor([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])


MULTI = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]])


INDEX = torch.tensor([0, 1, 2, 1])


LABELS = {
    "int64": (INDEX, 3, ONE_HOT),
    "int32": (INDEX.int(), 3, ONE_HOT),
    "uint8": (INDEX.byte(), 3, ONE_HOT),
    "column": (INDEX[:, None], 3, ONE_HOT),
    "numpy index": (INDEX.numpy(), 3, ONE_HOT),
    "numpy uint16": (INDEX.numpy().astype(np.uint16), 3, ONE_HOT),
    "more classes": (INDEX, 5, F.pad(ONE_HOT, (0, 2))),
    "bool index": (INDEX == 1, 2, torch.eye(2)[[0, 1, 0, 1]]),
    "one-hot": (ONE_HOT.long(), None, ONE_HOT),
    "one-hot and classes": (ONE_HOT.long(), 3, ONE_HOT),
    "multi-hot": (MULTI, 3, MULTI.float()),
    "multi-hot bool": (MULTI.bool(), None, MULTI.float()),
    "soft": (SOFT, None, SOFT),
    "soft float64": (SOFT.double(), 3, SOFT.double()),
    "soft float16": (SOFT.half(), 3, SOFT.half()),
    "numpy soft": (SOFT.double().numpy(), 3, SOFT.double()),
    "meta": (MetaTensor(SOFT), 3, SOFT),
    "one logit": (torch.tensor([0, 1, 1, 0]), 1, torch.tensor([[0.0], [1.0], [1.0], [0.0]])),
    "one logit column": (torch.tensor([[0], [1], [1], [0]]), 1, torch.tensor([[0.0], [1.0], [1.0], [0.0]])),
    "one logit soft": (torch.tensor([0.25, 1.0, 0.5, 0.0]), 1, torch.tensor([[0.25], [1.0], [0.5], [0.0]])),
    "one logit bool": (torch.tensor([False, True, True, False]), 1, torch.tensor([[0.0], [1.0], [1.0], [0.0]])),
}


@pytest.mark.parametrize("kind", list(LABELS))
def test_labels(kind):
    label, num_classes, rows = LABELS[kind]
    before = copy.deepcopy(label)
    mixup = MixBatch(num_classes=num_classes).set_random_state(0)
    _, found = mixup(torch.rand(4, 1, 6), label)
    weight, order = mixup.mixtures[0][1:]
    expected = torch.cat([rows.double(), weight * rows.double() + (1 - weight) * rows.double()[order]])
    assert isinstance(found, type(label))
    found = torch.as_tensor(found)
    assert found.dtype == rows.dtype
    assert torch.allclose(found.double(), expected, atol=1e-3 if rows.dtype == torch.half else 1e-6)
    assert ((found >= 0) & (found <= 1)).all()
    assert np.array_equal(label, before)


def test_rows_that_sum_to_one_keep_doing_so():
    network = Stages()
    mixup = MixBatch.flow_mixup(network, LAYERS, num_classes=3).set_random_state(0)
    x, label = batch()
    for _ in range(10):
        image, y = mixup(x, label)
        network(image)
        assert torch.allclose(y.sum(1), torch.ones(20), atol=1e-6)
        assert torch.equal(y[:5], F.one_hot(label, 3).float())


@pytest.mark.parametrize(
    ("label", "num_classes", "error", "message"),
    [
        (INDEX, None, ValueError, "class indices and num_classes"),
        (INDEX[:, None], None, ValueError, "class indices and num_classes"),
        (INDEX.float(), 3, ValueError, "integer class indices"),
        (INDEX, 2, ValueError, "label 2 of sample 2 of the batch is none of the 2 classes, 0 to 1"),
        (INDEX - 1, 3, ValueError, "label -1 of sample 0 .* ignore_value=-1"),
        (ONE_HOT, 4, ValueError, r"expected labels of shape \(B,\) or \(B, 4\), got \(4, 3\)"),
        (ONE_HOT, 1, ValueError, r"expected labels of shape \(B,\) or \(B, 1\), got \(4, 3\)"),
        (SOFT * float("nan"), 3, ValueError, r"label nan of sample 0, class 0 .* ignore_value=float\('nan'\)"),
        (2 * SOFT, 3, ValueError, r"label 1.5 of sample 0, class 1 .*\(and 2 more like it\) does not lie in \[0, 1\]"),
        (-SOFT, 3, ValueError, r"label -0.25 of sample 0, class 0"),
        (2 * MULTI, 3, ValueError, "label 2 of sample 0, class 0"),
        (torch.tensor([0, 2, 1, 0]), 1, ValueError, "label 2 of sample 1"),
        (INDEX[:3], 3, ValueError, r"as many labels, got shapes \(4, 1, 6\) and \(3,\)"),
        (INDEX[:0], 3, ValueError, r"as many labels, got shapes \(4, 1, 6\) and \(0,\)"),
        (torch.tensor(1), 3, (TypeError, ValueError), "labels"),
        (SOFT[..., None], 3, ValueError, "expected labels of shape"),
        ([0, 1, 2, 1], 3, TypeError, "tensor or array of a whole batch, got list"),
    ],
)
def test_labels_that_do_not_fit(label, num_classes, error, message):
    with pytest.raises(error, match=message):
        MixBatch.mixup(num_classes=num_classes)(torch.rand(4, 1, 6), label)


def test_an_empty_batch():
    with pytest.raises(ValueError, match="the batch is empty"):
        MixBatch.mixup(num_classes=3)(torch.rand(0, 1, 6), INDEX[:0])


NAN = float("nan")


@pytest.mark.parametrize(
    ("label", "num_classes", "ignore_value", "rows"),
    [
        (torch.tensor([0, -1, 2, 1]), 3, -1, [[1, 0, 0], [NAN] * 3, [0, 0, 1], [0, 1, 0]]),
        (np.array([[0], [255], [2], [255]], dtype=np.uint8), 3, 255, [[1, 0, 0], [NAN] * 3, [0, 0, 1], [NAN] * 3]),
        (torch.tensor([0.0, NAN, 1, 0.5]), 1, NAN, [[0], [NAN], [1], [0.5]]),
        (torch.tensor([[0, NAN], [1, -1], [1, 1], [0, 0]]), None, (-1, NAN), [[0, NAN], [1, NAN], [1, 1], [0, 0]]),
    ],
    ids=["index", "column", "one logit", "several labels"],
)
@pytest.mark.parametrize("flow", ["append", "replace"])
def test_a_mixed_label_is_missing_if_one_of_the_two_is(label, num_classes, ignore_value, rows, flow):
    mixup = MixBatch(flow=flow, num_classes=num_classes, ignore_value=ignore_value).set_random_state(0)
    _, found = mixup(torch.rand(4, 1, 6), label)
    weight, order = mixup.mixtures[0][1:]
    assert sum(order != np.arange(4)) > 1
    known = np.array(rows)
    expected = weight * known + (1 - weight) * known[order]  # NaN where one of the two is
    expected = np.concatenate([known, expected]) if flow == "append" else expected
    assert 0 < np.isnan(expected).sum() < expected.size
    value = ignore_value[0] if isinstance(ignore_value, tuple) else ignore_value
    np.testing.assert_allclose(np.asarray(found), np.where(np.isnan(expected), value, expected), rtol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_sample_without_a_share_need_not_have_a_label(weight):
    """The Beta distribution of a small α does give 0 and 1: then a mixed sample is one of the two."""
    mixup = MixBatch(flow="replace", num_classes=3, ignore_value=-1).set_random_state(0)
    mixup.randomize(4)
    order = np.array([1, 2, 3, 0])
    mixup._mixtures = [mixup.mixtures[0]._replace(weight=weight, order=order)]
    label = torch.tensor([0, -1, 2, 1])
    image = torch.rand(4, 1, 6)
    mixed, found = mixup(image, label, randomize=False)
    of = np.arange(4) if weight else order
    assert torch.equal(mixed, image[of])
    assert found.tolist() == [[-1.0] * 3 if label[i] == -1 else F.one_hot(label[i], 3).tolist() for i in of]
