# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from monai_debias.losses import SampleWeightedLoss, SpectralDecouplingLoss, TaskLoss

EXAMPLES = {
    TaskLoss: [
        {},
        {"ignore_value": -1, "reduction": "sum"},
        {"ignore_value": [-1, -100], "reduction": "none"},
    ],
    TaskLoss.forward: {"pred": torch.tensor([[1.0, 2.0], [0.5, -1.0]]), "label": torch.tensor([0, 1])},
}


def logits(k: int, n: int = 6) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(0), requires_grad=True)


def test_each_task_has_the_loss_of_torch():
    classes = torch.tensor([0, 2, 1, 1, 0, 2])
    assert torch.allclose(TaskLoss()(logits(3), classes), F.cross_entropy(logits(3), classes))
    yes, rows = (classes > 0).long(), torch.eye(3)[classes] + torch.eye(3)[classes.flip(0)].clamp(max=0)
    expected = F.binary_cross_entropy_with_logits(logits(1)[:, 0], yes.float())
    for label in (yes, yes[:, None], yes.float(), yes.bool()):
        assert torch.allclose(TaskLoss("binary")(logits(1), label), expected)
    for label in (rows, rows.long()):
        expected = F.binary_cross_entropy_with_logits(logits(3), rows)
        assert torch.allclose(TaskLoss("multi_label")(logits(3), label), expected)


@pytest.mark.parametrize("missing", [-1, float("nan")])
def test_missing_labels_cost_nothing_and_have_no_gradient(missing):
    rows = torch.tensor([[1.0, missing, 0.0], [missing, missing, missing], [0.0, 1.0, 1.0]])
    z = logits(3, 3)
    loss = TaskLoss("multi_label", ignore_value=missing)(z, rows)
    known = torch.tensor([[True, False, True], [False] * 3, [True] * 3])
    assert torch.allclose(loss, F.binary_cross_entropy_with_logits(z[known], rows[known]))
    loss.backward()
    assert torch.equal(z.grad != 0, known)
    each = TaskLoss("multi_label", ignore_value=missing, reduction="none")(z, rows)
    assert each.shape == (3,)
    assert torch.allclose(each.mean(), loss)
    classes = torch.tensor([0, -1, 2])
    expected = F.cross_entropy(logits(3, 3), classes, ignore_index=-1)
    assert torch.allclose(TaskLoss(ignore_value=-1)(logits(3, 3), classes), expected)


def test_other_losses_go_around_it():
    rows = torch.tensor([[1.0, -1.0], [0.0, 1.0]])
    inner = TaskLoss("multi_label", ignore_value=-1, reduction="none")
    loss = SpectralDecouplingLoss(inner, penalty_weight=0.5)
    z = logits(2, 2)
    expected = TaskLoss("multi_label", ignore_value=-1)(z, rows) + 0.25 * (z**2).sum(1).mean()
    assert torch.allclose(loss(z, rows), expected)
    assert SampleWeightedLoss(inner).ignore_value == (-1,)


@pytest.mark.parametrize(
    ("task", "k", "label", "message"),
    [
        ("softmax", 1, torch.tensor([0, 1]), "there are 1 outputs, but the task 'softmax' has 2 or more"),
        ("binary", 2, torch.tensor([0, 1]), "there are 2 outputs, but the task 'binary' has 1"),
        ("binary", 1, torch.tensor([0, -1]), "leave it out with ignore_value=-1"),
        ("softmax", 2, torch.tensor([0, 2]), "is none of the 2 classes"),
        ("multi_label", 2, torch.tensor([0, 1]), "a label of 0 to 1 for each logit"),
    ],
)
def test_what_does_not_fit_gets_a_clear_error(task, k, label, message):
    with pytest.raises(ValueError, match=message):
        TaskLoss(task)(logits(k, 2), label)
