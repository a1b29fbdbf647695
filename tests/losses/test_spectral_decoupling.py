# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import FocalLoss
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from torch.nn import functional as F  # noqa: N812

from monai_debias.attached import attach
from monai_debias.losses import ISNetLRPLoss, MixupLoss, SampleWeightedLoss, SpectralDecouplingLoss
from tests.losses.spectral_helpers import BINARY, INDEX, TARGETS, WEIGHTS, draw, rows_of

EXAMPLES = {
    SpectralDecouplingLoss: [
        {},
        {
            "classification_loss": {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"},
            "penalty_weight": [0.1, 0.2],
            "logit_target": [0.44, 2.5],
            "class_reduction": "mean",
            "reduction": "sum",
            "ignore_value": -1,
        },
        {"reduction": "none", "ignore_value": [-1, -100]},
    ],
    SpectralDecouplingLoss.forward: {"pred": torch.tensor([[1.0, 2.0], [0.5, -1.0]]), "target": torch.tensor([0, 1])},
}


def soft_labels(n_classes: int, n: int = 5) -> torch.Tensor:
    return torch.rand(n, n_classes, generator=torch.Generator().manual_seed(7)).double().softmax(1)


def by_target(logits: torch.Tensor, label: torch.Tensor, weights: list, targets: list, mean: bool) -> float:
    """The penalty of a batch, written out: the weighted mean of each class, summed over the classes that there are."""
    penalty = 0.0
    for c in range(len(weights)):
        total, count = 0.0, 0.0
        for z, y in zip(logits.tolist(), label.tolist(), strict=True):
            squares = [(z_k - targets[c]) ** 2 for z_k in z]
            total += y[c] * weights[c] / 2 * sum(squares) / (len(squares) if mean else 1)
            count += y[c]
        penalty += total / count if count else 0.0
    return penalty


@pytest.mark.parametrize("class_reduction", ["sum", "mean"])
@pytest.mark.parametrize(
    ("label", "rows"),
    [
        (INDEX, rows_of(INDEX, 3)),
        (INDEX[:, None], rows_of(INDEX, 3)),
        (rows_of(INDEX, 3).long(), rows_of(INDEX, 3)),
        (soft_labels(3), soft_labels(3)),
    ],
    ids=["index", "column", "one-hot", "soft"],
)
@pytest.mark.parametrize("given", ["both", "weight", "target"])
def test_softmax_with_values_by_the_class_of_the_target(label, rows, given, class_reduction):
    logits = draw(3)
    weights, targets = ([0.3] * 3 if given == "target" else WEIGHTS), ([0.5] * 3 if given == "weight" else TARGETS)
    loss = SpectralDecouplingLoss(
        penalty_weight=0.3 if given == "target" else weights,
        logit_target=0.5 if given == "weight" else targets,
        class_reduction=class_reduction,
    )
    expected = by_target(logits, rows, weights, targets, class_reduction == "mean")
    assert loss(logits, label).item() == pytest.approx(F.cross_entropy(logits, rows).item() + expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
@pytest.mark.parametrize("positive", [[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0.3, 1.0, 0.0, 0.9, 0.5]])
def test_one_logit_has_a_value_for_the_negative_and_the_positive_class(positive, shape):
    logits, p = draw(1), torch.tensor(positive)
    rows = torch.stack([1 - p, p], 1).double()
    loss = SpectralDecouplingLoss(penalty_weight=[0.1, 0.4], logit_target=[0.44, 2.5])
    expected = by_target(logits, rows, [0.1, 0.4], [0.44, 2.5], mean=False)
    expected += F.binary_cross_entropy_with_logits(logits[:, 0], p.double()).item()
    assert loss(logits, p.reshape(shape)).item() == pytest.approx(expected, rel=1e-6)
    for given in ("bce", BCEWithLogitsLoss(reduction="none")):  # of several logits these would be labels
        loss = SpectralDecouplingLoss(given, penalty_weight=[0.1, 0.4], logit_target=[0.44, 2.5])
        assert loss(logits, p.double()[:, None]).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("class_reduction", ["sum", "mean"])
def test_multi_label_has_a_value_for_each_logit(class_reduction):
    logits, label = draw(3), torch.tensor([[0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]])
    loss = SpectralDecouplingLoss("bce", WEIGHTS, TARGETS, class_reduction)
    squares = torch.tensor(WEIGHTS) / 2 * (logits - torch.tensor(TARGETS)) ** 2
    expected = squares.sum(1).mean() if class_reduction == "sum" else squares.mean()
    expected += F.binary_cross_entropy_with_logits(logits, label.double())
    assert loss(logits, label).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("label", [INDEX, rows_of(INDEX, 3), soft_labels(3)], ids=["index", "one-hot", "soft"])
def test_numbers_are_the_same_for_every_class(label):
    """Without a class in the batch and for soft labels, too: the plain mean over the batch."""
    logits = draw(3)
    penalty = (0.3 / 2 * (logits - 0.5) ** 2).sum(1).mean()
    loss = SpectralDecouplingLoss(penalty_weight=0.3, logit_target=0.5)(logits, label)
    assert loss.item() == pytest.approx((F.cross_entropy(logits, label) + penalty).item(), rel=1e-6)


@pytest.mark.parametrize("values", [(0.3, 0.5), (WEIGHTS, TARGETS)], ids=["numbers", "by class"])
@pytest.mark.parametrize("label", [INDEX, soft_labels(3)], ids=["index", "soft"])
def test_the_form_for_each_sample_adds_up_to_the_others(values, label):
    logits = draw(3).requires_grad_()
    none, mean, total = (SpectralDecouplingLoss(None, *values, reduction=r) for r in ("none", "mean", "sum"))
    single = none(logits, label)
    assert single.shape == (5,)
    assert single.mean().item() == pytest.approx(mean(logits, label).item(), rel=1e-12)
    assert single.sum().item() == pytest.approx(total(logits, label).item(), rel=1e-12)
    for loss in (none, mean, total):
        assert sum(loss.terms.values()).item() == pytest.approx(single.mean().item(), rel=1e-12)
        assert not any(term.requires_grad for term in loss.terms.values())


@pytest.mark.parametrize("n_classes", [1, 3])
def test_a_class_that_the_batch_lacks_costs_nothing(n_classes):
    logits = draw(n_classes).requires_grad_()
    label = torch.ones(5, dtype=torch.long)
    gammas = [9.0, 1.0, 9.0] if n_classes == 3 else [9.0, 1.0]
    loss = SpectralDecouplingLoss(penalty_weight=0.2, logit_target=gammas)
    loss(logits, label).backward()
    assert loss.terms["penalty"].item() == pytest.approx((0.1 * (logits - 1) ** 2).sum(1).mean().item(), rel=1e-6)
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_a_rounded_label_does_not_make_a_class():
    """A mixture of ones is not exactly one in float32; what is missing is no negative sample."""
    logits, ones = draw(1), torch.ones(5, 1)
    loss = SpectralDecouplingLoss(logit_target=[9.0, 1.0])
    for almost in (0.99999994, 1.0000001):
        assert loss(logits, almost * ones).item() == pytest.approx(loss(logits, ones).item(), rel=1e-5)


def test_means_of_classes_add_up_to_more_than_the_mean_of_the_batch():
    """As in the original code; docs/spectral_decoupling.md tells what that means for λ."""
    balanced, logits = torch.tensor([0, 1, 2, 0, 1, 2]), draw(3, 6)
    numbers, by_class = SpectralDecouplingLoss(logit_target=0.5), SpectralDecouplingLoss(logit_target=[0.5] * 3)
    numbers(logits, balanced), by_class(logits, balanced)
    assert by_class.terms["penalty"].item() == pytest.approx(3 * numbers.terms["penalty"].item(), rel=1e-6)


def test_inside_sample_weights():
    logits, weight = draw(3), torch.tensor([0.5, 1.5, 1.0, 0.0, 2.0]).double()
    inner = SpectralDecouplingLoss(None, WEIGHTS, TARGETS, reduction="none")
    weighted = SampleWeightedLoss(inner)(logits, attach(INDEX, weight=weight))
    assert weighted.item() == pytest.approx((inner(logits, INDEX) * weight).mean().item(), rel=1e-12)


def test_inside_isnet():
    logits, label = draw(3, 2).requires_grad_(), torch.tensor([0, 2])
    inner = SpectralDecouplingLoss(reduction="none")
    loss = ISNetLRPLoss(classification_loss=inner, relevance_weight=0.25)
    heatmap = torch.rand(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.eye(4).expand(2, 1, 4, 4)
    total = loss(attach(logits, heatmap=heatmap), attach(label, mask=mask))
    terms = loss.terms
    assert terms["classification"].item() == pytest.approx(SpectralDecouplingLoss()(logits, label).item(), rel=1e-12)
    heat = (terms["background"] + terms["foreground"]).item()
    assert total.item() == pytest.approx(0.75 * terms["classification"].item() + 0.25 * heat, rel=1e-6)
    assert set(inner.terms) == {"classification", "penalty"}


def test_inside_flow_mixup():
    logits, mixed = draw(3, 6), soft_labels(3, 6)
    inner = SpectralDecouplingLoss(None, WEIGHTS, TARGETS, reduction="none")
    loss = MixupLoss(["unmixed", "layer1"], inner)
    single = inner(logits, mixed)
    assert loss(logits, mixed).item() == pytest.approx(single.mean().item(), rel=1e-12)
    assert loss.terms["layer1"].item() == pytest.approx(single[3:].mean().item(), rel=1e-12)


@pytest.mark.parametrize("values", [(0.3, 0.5), (WEIGHTS, TARGETS)], ids=["numbers", "by class"])
def test_mixed_labels_are_between_those_that_were_mixed(values):
    """The penalty is linear in the label as cross-entropy is: for the same number of samples of every class."""
    logits, lam = draw(3, 6), 0.3
    first, second = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 2, 0, 2, 0, 1])
    mixed = lam * rows_of(first, 3) + (1 - lam) * rows_of(second, 3)
    loss = SpectralDecouplingLoss(None, *values, reduction="none")
    torch.testing.assert_close(
        loss(logits, mixed.float()), lam * loss(logits, first) + (1 - lam) * loss(logits, second)
    )


@pytest.mark.parametrize("loss", [FocalLoss(reduction="none"), "FocalLoss", BCEWithLogitsLoss(reduction="none")])
def test_another_classification_loss(loss):
    logits, label = draw(3), rows_of(INDEX, 3)
    value = SpectralDecouplingLoss(loss, penalty_weight=0.3, reduction="none")
    single = value.classification_loss(logits, label).mean(1) + 0.15 * (logits**2).sum(1)
    torch.testing.assert_close(value(logits, label), single)


def test_a_classification_loss_with_options():
    logits = draw(3)
    smoothed = CrossEntropyLoss(label_smoothing=0.1, reduction="none")
    ours = SpectralDecouplingLoss(smoothed, WEIGHTS, TARGETS)(logits, INDEX)
    theirs = CrossEntropyLoss(label_smoothing=0.1)(logits, INDEX).item()
    assert ours.item() == pytest.approx(
        theirs + by_target(logits, rows_of(INDEX, 3), WEIGHTS, TARGETS, False), rel=1e-6
    )


def test_the_task_of_values_per_class_is_not_guessed():
    logits, rows = draw(3), rows_of(INDEX, 3)
    focal = FocalLoss(reduction="none")
    with pytest.raises(ValueError, match=r"multi_label=False.*multi_label=True"):
        SpectralDecouplingLoss(focal, logit_target=TARGETS)(logits, rows)

    def penalty(loss: torch.nn.Module | str | None, label: torch.Tensor, multi_label: bool | None = None) -> float:
        whole = SpectralDecouplingLoss(loss, logit_target=TARGETS, multi_label=multi_label)
        whole(logits, label)
        return whole.terms["penalty"].item()

    softmax = by_target(logits, rows, [0.1] * 3, TARGETS, False)
    labels = (0.05 * (logits - torch.tensor(TARGETS)) ** 2).sum(1).mean().item()
    of_a_softmax, of_labels = CrossEntropyLoss(reduction="none"), BCEWithLogitsLoss(reduction="none")
    assert penalty(focal, rows, False) == penalty(of_a_softmax, rows) == pytest.approx(softmax, rel=1e-6)
    assert penalty(focal, rows, True) == penalty(of_labels, rows) == pytest.approx(labels, rel=1e-6)
    assert penalty(FocalLoss(to_onehot_y=True, reduction="none"), INDEX[:, None]) == pytest.approx(softmax, rel=1e-6)
    for loss, multi_label in ((None, True), ("bce", False), (of_a_softmax, True), (of_labels, False)):
        with pytest.raises(ValueError, match="contradicts"):
            SpectralDecouplingLoss(loss, multi_label=multi_label)


@pytest.mark.parametrize("values", [(0.1, 0.0), (WEIGHTS, TARGETS)], ids=["numbers", "by class"])
def test_half_precision_does_not_overflow(values):
    logits = torch.tensor([[300.0, -300.0, 8.0]])  # 300² is beyond float16
    loss = SpectralDecouplingLoss(None, *values)
    expected = SpectralDecouplingLoss(None, *values)(logits, torch.tensor([0])).item()
    half = logits.half().requires_grad_()
    value = loss(half, torch.tensor([0]))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, rel=1e-3)
    value.backward()
    assert half.grad is not None
    assert bool(half.grad.isfinite().all())


def test_under_autocast_the_penalty_is_that_of_the_logits():
    layer = torch.nn.Linear(4, 3)
    loss = SpectralDecouplingLoss(None, WEIGHTS, TARGETS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(torch.rand(5, 4))
        total = loss(logits, INDEX)
    assert logits.dtype == torch.bfloat16
    assert total.dtype == loss.terms["penalty"].dtype == torch.float32
    expected = by_target(logits.double(), rows_of(INDEX, 3), WEIGHTS, TARGETS, False)
    assert loss.terms["penalty"].item() == pytest.approx(expected, rel=1e-5)


def test_first_and_second_derivatives():
    for n_classes, label in ((3, INDEX), (3, soft_labels(3)), (1, BINARY)):
        n_values = max(n_classes, 2)
        loss = SpectralDecouplingLoss(None, WEIGHTS[:n_values], TARGETS[:n_values])
        call = lambda z, loss=loss, label=label: loss(z, label)  # noqa: E731
        assert torch.autograd.gradcheck(call, draw(n_classes).requires_grad_())
        assert torch.autograd.gradgradcheck(call, draw(n_classes).requires_grad_())
        small = draw(n_classes).float()
        assert loss(small, label).item() == pytest.approx(loss(draw(n_classes), label).item(), rel=1e-6)


def test_meta_tensors_are_taken_as_plain_ones():
    loss = SpectralDecouplingLoss(None, WEIGHTS, TARGETS, reduction="none")
    value = loss(MetaTensor(draw(3)), MetaTensor(INDEX))
    assert type(value) is torch.Tensor
    torch.testing.assert_close(value, loss(draw(3), INDEX))


def test_values_per_class_follow_the_loss_and_are_not_saved():
    loss = SpectralDecouplingLoss(None, WEIGHTS, TARGETS)
    assert {name for name, _ in loss.named_buffers()} == {"penalty_weight", "logit_target"}
    assert not loss.state_dict()
    assert loss.to("meta").logit_target.is_meta


def test_it_leaves_its_arguments_alone():
    weights = torch.tensor(WEIGHTS)
    loss = SpectralDecouplingLoss(None, weights)
    loss.penalty_weight.zero_()
    assert weights.tolist() == pytest.approx(WEIGHTS)


def test_a_term_that_overflows_is_told():
    with pytest.raises(FloatingPointError, match="the penalty term is inf"):
        SpectralDecouplingLoss()(torch.tensor([[1e30, 0.0]]), torch.tensor([0]))


def test_bad_arguments_get_a_clear_error():
    for bad in ([[0.1, 0.2]], torch.ones(1, 2)):
        with pytest.raises(TypeError, match=r"penalty_weight\[0\] is of type list and length 2, expected a number"):
            SpectralDecouplingLoss(penalty_weight=bad)
    with pytest.raises(ValueError, match='must be made with reduction="none"'):
        SpectralDecouplingLoss(CrossEntropyLoss())


def test_bad_input_gets_a_clear_error():
    logits, loss = draw(3), SpectralDecouplingLoss(logit_target=TARGETS)
    with pytest.raises(ValueError, match="logit_target must be one number, or 5 for 5 logits, got 3 numbers"):
        loss(draw(5), INDEX)
    with pytest.raises(ValueError, match="2 for the negative and the positive class, got 3"):
        loss(draw(1), BINARY)
    with pytest.raises(ValueError, match=r"penalty_weight must be .* 3 for 3 logits, got 1"):
        SpectralDecouplingLoss("bce", penalty_weight=[0.1])(logits, rows_of(INDEX, 3))
    for shape in ((5,), (5, 3, 2), (0, 3)):
        with pytest.raises(ValueError, match=r"shape \(B, K\), for a single logit \(B, 1\)"):
            loss(torch.zeros(shape), INDEX)
    with pytest.raises(ValueError, match="5 rows of logits, but labels"):
        loss(logits, INDEX[:3])
    with pytest.raises(TypeError, match=r"target \(labels\) must be a tensor, got dict"):
        loss(logits, {"label": INDEX})


def test_labels_that_are_no_classes_get_a_clear_error():
    logits = draw(3)
    focal = SpectralDecouplingLoss(FocalLoss(reduction="none"), logit_target=TARGETS, multi_label=False)
    for bad in (torch.ones(5, 3), 0.1 * torch.ones(5, 3)):
        with pytest.raises(ValueError, match="do not add up to 1, as a distribution over the classes does"):
            focal(logits, bad)
    to_one_hot = SpectralDecouplingLoss(FocalLoss(to_onehot_y=True, reduction="none"), logit_target=TARGETS)
    with pytest.raises(ValueError, match="expected class indices"):
        to_one_hot(logits, INDEX[:, None].float())
