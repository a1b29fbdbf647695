# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""docs/spectral_decoupling.md, "Converting λ": each published penalty as it is computed there, and what ours takes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from monai_debias.losses import SpectralDecouplingLoss
from tests.losses.spectral_helpers import BINARY, INDEX, TARGETS, WEIGHTS, draw, rows_of


def cross_entropy(logits: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits[:, 0], BINARY)


def test_lambda_of_the_paper():
    logits, lam = draw(1), 0.07
    theirs = cross_entropy(logits) + (lam / 2 * (logits**2).sum(1)).mean()
    assert SpectralDecouplingLoss(penalty_weight=lam)(logits, BINARY).item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("coefficient", [2e-5, 3e-3])
def test_lambda_of_the_original_colored_mnist(coefficient):
    logits = 100 * draw(1)  # where the penalty shows beside the loss
    nll, squares = cross_entropy(logits), (logits**2).mean()
    first = SpectralDecouplingLoss(penalty_weight=2 * coefficient)(logits, BINARY)
    assert first.item() == pytest.approx((nll + coefficient * squares).item(), rel=1e-6)
    later = coefficient * SpectralDecouplingLoss(penalty_weight=2.0)(logits, BINARY)
    assert later.item() == pytest.approx((coefficient * (nll + squares)).item(), rel=1e-6)


def test_lambda_of_the_original_celeba():
    logits, c = draw(1), 0.1
    z = logits[:, 0]
    theirs = (
        cross_entropy(logits) + c * ((z[BINARY == 1] - 2.5) ** 2).mean() + c * ((z[BINARY == 0] - 0.44) ** 2).mean()
    )
    ours = SpectralDecouplingLoss(penalty_weight=2 * c, logit_target=(0.44, 2.5))(logits, BINARY)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("n_classes", [2, 7])
def test_lambda_of_domainbed(n_classes):
    logits, label, sd_reg = draw(n_classes), torch.tensor([0, 1, 1, 0, 1]), 0.1
    theirs = F.cross_entropy(logits, label) + sd_reg * (logits**2).mean()
    mean = SpectralDecouplingLoss(penalty_weight=2 * sd_reg, class_reduction="mean")
    summed = SpectralDecouplingLoss(penalty_weight=2 * sd_reg / n_classes)
    assert mean(logits, label).item() == pytest.approx(theirs.item(), rel=1e-6)
    assert summed(logits, label).item() == pytest.approx(theirs.item(), rel=1e-6)
    default = SpectralDecouplingLoss()(logits, label).item()
    assert (default == pytest.approx(theirs.item(), rel=1e-6)) == (n_classes == 2)


def test_lambda_of_the_label_wise_multi_label_code():
    logits, label, lam = draw(4), rows_of(torch.tensor([0, 1, 3, 3, 2]), 4), 0.1
    theirs = F.binary_cross_entropy_with_logits(logits, label) + lam * (logits.flatten() ** 2).mean()
    ours = SpectralDecouplingLoss("bce", penalty_weight=2 * lam, class_reduction="mean")(logits, label)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_lambda_of_conduit():
    logits = draw(3)

    def theirs(lam: torch.Tensor, gamma: torch.Tensor) -> float:
        penalty = 0.5 * (lam[INDEX] * ((logits - gamma) ** 2).sum(1)).mean()
        return (F.cross_entropy(logits, INDEX) + penalty).item()

    ours = SpectralDecouplingLoss(penalty_weight=0.3, logit_target=0.5)(logits, INDEX).item()
    assert ours == pytest.approx(theirs(torch.full((3,), 0.3), torch.full((3,), 0.5)), rel=1e-6)
    for weights, gammas in (([0.3] * 3, TARGETS), (WEIGHTS, [0.5] * 3)):
        per_class = SpectralDecouplingLoss(penalty_weight=weights, logit_target=gammas)(logits, INDEX).item()
        assert per_class != pytest.approx(theirs(torch.tensor(weights), torch.tensor(gammas)), rel=1e-2)


def test_lambda_of_a_penalty_on_the_true_class_only():
    """It converts for two logits that sum to 0 and γ = 0, and in general not by any λ: it leaves the others alone."""

    def penalty_gradient(loss: torch.Tensor, logits: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(loss - F.cross_entropy(logits, label), of)[0]

    def theirs(logits: torch.Tensor, gamma: float = 0.0) -> torch.Tensor:
        true = logits.gather(1, label[:, None])[:, 0]
        return F.cross_entropy(logits, label) + (lam / 2 * (true - gamma) ** 2).mean()

    label, lam = torch.tensor([0, 1, 1, 0, 1]), 0.3
    half = draw(1).requires_grad_()
    opposite = torch.cat([half, -half], 1)
    ours = SpectralDecouplingLoss(penalty_weight=lam / 2)(opposite, label)
    assert ours.item() == pytest.approx(theirs(opposite).item(), rel=1e-6)
    torch.testing.assert_close(
        penalty_gradient(ours, opposite, half), penalty_gradient(theirs(opposite), opposite, half)
    )
    free = draw(2).requires_grad_()
    other = F.one_hot(1 - label, 2).bool()
    assert float(penalty_gradient(theirs(free), free, free)[other].abs().max()) < 1e-15
    assert float(penalty_gradient(SpectralDecouplingLoss()(free, label), free, free)[other].abs().min()) > 1e-3
    shifted = SpectralDecouplingLoss(penalty_weight=lam / 2, logit_target=1.0)(opposite, label)
    assert shifted.item() != pytest.approx(theirs(opposite, gamma=1.0).item(), rel=1e-2)
