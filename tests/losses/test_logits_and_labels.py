# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that are missing or wrong, and logits that are not finite, in every loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from monai.losses import FocalLoss
from torch import nn
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss

from monai_debias.attached import attach
from monai_debias.losses import ISNetLRPLoss, MixupLoss, SampleWeightedLoss, SpectralDecouplingLoss

NAN = math.nan
INDEX = [0, 2, 1, 2]
ROWS = [[1, 0, 0], [0, 0.25, 0.75], [0, 1, 0], [0.5, 0.5, 0]]
LABELS = [[0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0.5, 1]]

# of four samples: labels with missing ones, what is told of them, the classification loss, and the labels that are left
MISSING: dict[str, tuple[list, torch.dtype, Any, Any, list]] = {
    "-1": ([0, -1, 1, 2], torch.int64, -1, None, [0, None, 1, 2]),
    "-100": ([0, -100, 1, -100], torch.int32, -100, None, [0, None, 1, None]),
    "255": ([0, 2, 255, 2], torch.uint8, 255, None, [0, 2, None, 2]),
    "two values": ([-1, -100, 1, 2], torch.int64, (-1, -100), None, [None, None, 1, 2]),
    "column": ([[0], [-1], [1], [2]], torch.int64, -1, None, [0, None, 1, 2]),
    "rows": ([ROWS[0], [NAN] * 3, ROWS[2], ROWS[3]], torch.float32, NAN, None, [ROWS[0], None, ROWS[2], ROWS[3]]),
    "a part of a row": ([ROWS[0], [0, NAN, 1], *ROWS[2:]], torch.float64, NAN, None, [ROWS[0], None, *ROWS[2:]]),
    "torch's loss": ([0, -1, 1, 2], torch.int64, -1, CrossEntropyLoss(reduction="none"), [0, None, 1, 2]),
    "torch's ignore_index": ([0, -100, 1, 2], torch.int64, None, "CrossEntropyLoss", [0, None, 1, 2]),
    "another": (
        [9, 2, 9, 2],
        torch.int64,
        None,
        CrossEntropyLoss(ignore_index=9, reduction="none"),
        [None, 2, None, 2],
    ),
    "one logit": ([0, -1, 1, 0.25], torch.float32, -1, None, [[0], [None], [1], [0.25]]),
    "one logit, column": ([[0], [1], [NAN], [1]], torch.float16, NAN, None, [[0], [1], [None], [1]]),
    "several labels": (
        [[0, NAN, 1], [NAN] * 3, LABELS[2], [-1, -1, 1]],
        torch.float32,
        [-1, NAN],
        "bce",
        [[0, None, 1], [None] * 3, LABELS[2], [None, None, 1]],
    ),
    "several labels, integers": (
        [[0, -1, 1], *[[1, 1, 0]] * 3],
        torch.int64,
        -1,
        "bce",
        [[0, None, 1], *[[1, 1, 0]] * 3],
    ),
    "torch's loss of several labels": (
        [[0, NAN, 1], [NAN] * 3, *LABELS[2:]],
        torch.float64,
        NAN,
        BCEWithLogitsLoss(reduction="none"),
        [[0, None, 1], [None] * 3, *LABELS[2:]],
    ),
}


def draw(k: int = 3, n: int = 4) -> torch.Tensor:
    return 2 * torch.randn(n, k, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def single_losses(logits: torch.Tensor, left: list) -> list[list[float]]:
    """The loss of each label that is left, sample by sample, in plain numbers."""
    found = []
    for z, y in zip(logits.tolist(), left, strict=True):
        log_p = [z_k - math.log(sum(math.exp(other) for other in z)) for z_k in z]
        if y is None:
            found.append([])
        elif isinstance(y, int):
            found.append([-log_p[y]])
        elif len(z) > 1 and None not in y and sum(y) == 1 and left[0] in ROWS:
            found.append([-sum(y_k * l_k for y_k, l_k in zip(y, log_p, strict=True))])
        else:
            p = [1 / (1 + math.exp(-z_k)) for z_k in z]
            known = [(p_k, y_k) for p_k, y_k in zip(p, y, strict=True) if y_k is not None]
            found.append([-y_k * math.log(p_k) - (1 - y_k) * math.log(1 - p_k) for p_k, y_k in known])
    return found


def mean(losses: list[list[float]]) -> float:
    flat = [loss for sample in losses for loss in sample]
    return sum(flat) / len(flat) if flat else 0.0


@pytest.mark.parametrize("case", MISSING)
def test_a_mean_is_over_the_labels_that_are_known(case):
    given, dtype, ignore_value, inner, left = MISSING[case]
    label, k = torch.tensor(given).to(dtype), 1 if case.startswith("one logit") else 3
    logits = draw(k).requires_grad_()
    single, weight = single_losses(logits, left), torch.tensor([0.5, 2.0, 1.5, 1.0]).double()
    expected, penalty = mean(single), 0.05 * (logits**2).sum(1).mean().item()

    isnet = ISNetLRPLoss(inner, 0.25, ignore_value=ignore_value)
    assert isnet(logits, label).item() == pytest.approx(0.75 * expected, rel=1e-6)
    decoupling = SpectralDecouplingLoss(inner, ignore_value=ignore_value)  # whose penalty needs no label
    assert decoupling(logits, label).item() == pytest.approx(expected + penalty, rel=1e-6)
    assert decoupling.terms["penalty"].item() == pytest.approx(penalty, rel=1e-6)

    groups = MixupLoss(["a", "b"], inner, [3, 1], ignore_value=ignore_value)
    means = mean(single[:2]), mean(single[2:])
    assert groups(logits, label).item() == pytest.approx((3 * means[0] + means[1]) / 4, rel=1e-6)
    assert [term.item() for term in groups.terms.values()] == pytest.approx(means, rel=1e-6)

    total = sum(w * sum(losses) for w, losses in zip(weight.tolist(), single, strict=True))
    loss = SampleWeightedLoss(inner, ignore_value=ignore_value)(logits, attach(label, weight=weight))
    assert loss.item() == pytest.approx(total / sum(map(len, single)), rel=1e-6)

    values = ISNetLRPLoss(inner, 0.0, reduction="none", ignore_value=ignore_value)(logits, label)
    share = 4 / sum(map(len, single))
    assert values.tolist() == pytest.approx([share * sum(losses) for losses in single], rel=1e-6)
    summed = ISNetLRPLoss(inner, 0.0, reduction="sum", ignore_value=ignore_value)(logits, label)
    assert summed.item() == pytest.approx(4 * expected, rel=1e-6)
    gradient = torch.autograd.grad(values.mean(), logits)[0]
    assert bool(gradient.isfinite().all())
    assert [bool(row.any()) for row in gradient] == [bool(losses) for losses in single]


@pytest.mark.parametrize(
    ("inner", "label"),
    [
        (None, [-1] * 4),
        ("bce", [[-1] * 3] * 4),
        (CrossEntropyLoss(reduction="none"), [-1] * 4),
        (BCEWithLogitsLoss(reduction="none"), [[-1.0] * 3] * 4),
    ],
)
def test_without_any_label_a_loss_is_zero_and_has_a_gradient(inner, label):
    """A batch of few samples may have none, and in a distributed training every process must have its gradients."""
    logits, label = draw().requires_grad_(), torch.tensor(label)
    loss = ISNetLRPLoss(inner, 0.0, ignore_value=-1)
    value = loss(logits, label)
    assert value.item() == loss.terms["classification"].item() == 0
    assert torch.autograd.grad(value, logits)[0].tolist() == [[0.0] * 3] * 4


def test_a_penalty_by_the_class_of_the_target_needs_the_label():
    logits, gammas = draw(), [0.5, -1.0, 2.0]
    loss = SpectralDecouplingLoss(logit_target=gammas, ignore_value=-1)
    loss(logits, torch.tensor([0, -1, 0, 2]))
    squares = [((logits[i] - gamma) ** 2).sum().item() / 20 for i, gamma in ((0, 0.5), (2, 0.5), (3, 2.0))]
    assert loss.terms["penalty"].item() == pytest.approx((squares[0] + squares[1]) / 2 + squares[2], rel=1e-6)
    one = SpectralDecouplingLoss(logit_target=[0.5, 2.0], ignore_value=NAN)
    one(logits[:, :1], torch.tensor([0.0, NAN, NAN, 1.0]))
    squares = [((logits[i, 0] - gamma) ** 2).item() / 20 for i, gamma in ((0, 0.5), (3, 2.0))]
    assert one.terms["penalty"].item() == pytest.approx(sum(squares), rel=1e-6)
    by_logit = SpectralDecouplingLoss("bce", logit_target=gammas, ignore_value=NAN)  # whatever its target
    by_logit(logits, torch.tensor([[0, NAN, 1]] * 4))
    expected = (logits - torch.tensor(gammas)).square().sum(1).mean().item() / 20
    assert by_logit.terms["penalty"].item() == pytest.approx(expected, rel=1e-6)


def test_a_loss_inside_leaves_missing_labels_out():
    logits, label, weight = draw(), torch.tensor([0, -1, 1, 2]), torch.tensor([0.5, 2.0, 1.5, 1.0]).double()
    inner = SpectralDecouplingLoss(ignore_value=-1, reduction="none")
    alone = inner(logits, label).mean().item()
    for given in (None, -1):
        isnet = ISNetLRPLoss(MixupLoss(["a", "b"], inner, reduction="none", ignore_value=given), 0.5)
        assert isnet(logits, label).item() == pytest.approx(alone / 2, rel=1e-6)
        weighted = SampleWeightedLoss(inner, ignore_value=given)(logits, attach(label, weight=weight))
        assert weighted.item() == pytest.approx((inner(logits, label) * weight).mean().item(), rel=1e-12)
    for outer in (
        ISNetLRPLoss,
        lambda *a, **k: MixupLoss(["a"], *a, **k),
        SampleWeightedLoss,
        SpectralDecouplingLoss,
    ):
        with pytest.raises(
            ValueError, match=r"ignore_value=-100 contradicts that of the SpectralDecouplingLoss inside"
        ):
            outer(SpectralDecouplingLoss(reduction="none", ignore_value=-1), ignore_value=-100, **{"reduction": "none"})


def losses(inner: Any = None, **options: Any) -> list:
    """Every loss, called with logits and labels."""
    isnet, decoupling = ISNetLRPLoss(inner, **options), SpectralDecouplingLoss(inner, **options)
    groups, by_class = MixupLoss(["a", "b"], inner, **options), SpectralDecouplingLoss(inner, [0.1, 0.2, 0.3])
    weighted = SampleWeightedLoss(inner, **options)
    return [
        isnet,
        lambda z, y: weighted(z, attach(y, weight=torch.ones(len(z)))),
        decoupling,
        by_class,
        groups,
    ]


@pytest.mark.parametrize(
    ("inner", "label", "message"),
    [
        (None, [0, 1, 3, 2], "label 3 of sample 2 of the batch is none of the 3 classes, 0 to 2"),
        (None, [-5, 1, 7, 2], r"label -5 of sample 0 of the batch \(and 1 more like it\) is none .*ignore_value=-5"),
        ("bce", [[0, 1, 1], [0, -1, 1], [1, 1, 1], [0, 0, 0]], r"label -1 of sample 1, class 1 .*ignore_value=-1"),
        ("bce", [[0, 1, 1], [0, NAN, 1], [1, 1, 1], [0, 0, NAN]], r"label nan of sample 1, class 1 .*float\('nan'\)"),
        ("bce", [[0, 1, 1], [0, 2, 1], [1, 1, 1], [0, 0, 0]], r"label 2 of sample 1, class 1 .* in \[0, 1\]"),
        (FocalLoss(reduction="none"), [[0, 1, -1.0]] * 4, r"label -1 of sample 0, class 2"),
        (nn.MultiLabelSoftMarginLoss(reduction="none"), [[0, 1, -1.0]] * 4, r"label -1 of sample 0, class 2"),
        (CrossEntropyLoss(reduction="none"), [[0, 2, -1.0]] * 4, r"label 2 of sample 0, class 1"),
        (nn.SoftMarginLoss(reduction="none"), [[1, -1, NAN]] * 4, "label nan of sample 0, class 2 .* is not finite"),
        (nn.MultiMarginLoss(reduction="none"), [0, 1, 3, 2], "label 3 of sample 2 of the batch is none"),
    ],
)
def test_labels_that_do_not_fit_are_named_by_every_loss(inner, label, message):
    for loss in losses(inner):
        with pytest.raises(ValueError, match=message):
            loss(draw(), torch.tensor(label))


def test_minus_100_is_not_missing_unless_somebody_says_so():
    label = torch.tensor([0, -100, 1, 2])
    for loss in (ISNetLRPLoss(), ISNetLRPLoss(ignore_value=-1)):
        with pytest.raises(ValueError, match=r"label -100 of sample 1 .*ignore_value=-100"):
            loss(draw(), label)
    with pytest.raises(ValueError, match=r"label 255 of sample 1"):  # which torch takes for a -1 of 8 bits
        ISNetLRPLoss(ignore_value=-1)(draw(), label.byte().index_fill(0, torch.tensor(1), 255))


def test_other_targets_of_other_losses_are_taken_as_they_are():
    logits, signs = draw(), torch.tensor([[1.0, -1, -1], [-1, -1, 1]] * 2).double()
    expected = (1 + (-signs * logits).exp()).log().mean()
    value = ISNetLRPLoss(nn.SoftMarginLoss(reduction="none"), 0.0)(logits, signs)
    torch.testing.assert_close(value, expected)
    indices = torch.tensor([[0, -1, -1], [1, 2, -1]] * 2)  # filled up with -1
    value = ISNetLRPLoss(nn.MultiLabelMarginLoss(reduction="none"), 0.0)(logits, indices)
    torch.testing.assert_close(value, nn.MultiLabelMarginLoss()(logits, indices))


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_logits_that_are_not_finite_stop_every_loss(bad):
    for inner, label in ((None, torch.tensor(INDEX)), ("bce", torch.tensor(LABELS))):
        logits = draw()
        logits[1, 2] = logits[3, 0] = bad
        for loss in losses(inner):
            with pytest.raises(
                FloatingPointError, match=r"the logits have NaN .* in 2 of 4 rows .*\[1, 3\].*learning rate"
            ):
                loss(logits, label)
        logits = draw()
        logits[1] = bad  # of a sample whose label is missing, too
        with pytest.raises(FloatingPointError, match=r"\[1\]"):
            ISNetLRPLoss(inner, ignore_value=-1)(logits, label.index_fill(0, torch.tensor(1), -1))


def test_a_loss_that_overflows_is_told():
    class Overflow(nn.Module):
        def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return logits[:, 0] * math.inf

    with pytest.raises(FloatingPointError, match=r"classification losses have NaN .*rows .*\[0, 1, 2, 3\]"):
        MixupLoss(["a"], Overflow())(draw().abs(), torch.tensor(INDEX))


def test_single_labels_cannot_be_left_out_of_a_sum():
    loss = ISNetLRPLoss(nn.MultiLabelSoftMarginLoss(reduction="none"), ignore_value=NAN)
    whole = torch.tensor([[0, 1, 1], [NAN] * 3, [1, 0, 0], [0, 0, 0]]).double()
    expected = nn.MultiLabelSoftMarginLoss()(draw()[[0, 2, 3]], whole[[0, 2, 3]])
    torch.testing.assert_close(loss(draw(), whole), (1 - loss.relevance_weight) * expected)
    whole[0, 0] = NAN
    with pytest.raises(ValueError, match=r"MultiLabelSoftMarginLoss returned shape \(4,\).*BCEWithLogitsLoss"):
        loss(draw(), whole)


def test_a_loss_for_each_position_can_be_weighed_and_is_looked_at():
    logits, label = torch.randn(2, 3, 4, 4), torch.zeros(2, 4, 4).long()
    loss, target = SampleWeightedLoss(CrossEntropyLoss(reduction="none")), attach(label, weight=torch.ones(2))
    torch.testing.assert_close(loss(logits, target), CrossEntropyLoss()(logits, label))
    logits[1, 0, 0, 0] = NAN
    with pytest.raises(FloatingPointError, match=r"predictions have NaN .*\[1\]"):
        loss(logits, target)


@pytest.mark.parametrize("bad", ["-1", True, math.inf, [-1, "nan"]])
def test_an_ignore_value_is_a_number(bad):
    for make in (lambda b: ISNetLRPLoss(ignore_value=b), lambda b: MixupLoss(["a"], ignore_value=b)):
        with pytest.raises((TypeError, ValueError), match="ignore_value"):
            make(bad)
