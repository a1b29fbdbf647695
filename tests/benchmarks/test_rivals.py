# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The rivals by numbers worked out by hand, and what their stages change."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmarks.evidence.testbeds.biased_mnist import N_CLASSES, STAGES, load, make_network
from benchmarks.evidence.training import Judge
from benchmarks.parts import Parts, with_masked_images
from benchmarks.rivals import afr, jtt, tea
from benchmarks.rivals.last_layer import split
from benchmarks.rivals.right_reasons import InputGradients, RightForTheRightReasons
from monai_debias.attached import attach
from monai_debias.demo.biased_mnist import BiasedMNIST


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return Parts(make_network(), STAGES, N_CLASSES, load("training", 100).items(), seed=0)


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_input_gradients_outside_the_mask_are_penalised():
    """Logits W x with W = [[1, 2], [3, 0]] at x = 0: p = 1/2 each, and Σ ln p has the gradient Σ w_k − 2 Σ p_k w_k = 0.

    At logits (0, ln 3), of x = (0, 0) and a bias, p = (1/4, 3/4): (4, 2) − 2 (0.25 (1, 2) + 0.75 (3, 0)) = (−1, 1).
    """
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    network[1].weight.data = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    network[1].bias.data = torch.tensor([0.0, math.log(3)])
    logits = InputGradients()(torch.zeros(1, 1, 1, 2), network.train())
    label = attach(torch.tensor([1]), mask=torch.tensor([[[[1.0, 0.0]]]]), has_mask=torch.tensor([True]))
    found = RightForTheRightReasons(10.0)(logits, label)
    assert found.item() == pytest.approx(-math.log(3 / 4) + 10 * 1.0**2, rel=1e-5)


def test_masked_images_are_masked_in_tests_too(parts):
    masked = with_masked_images(parts)
    before = parts.samples[0]
    sample = masked.transforms[0](dict(before))
    assert (before["image"] * (1 - before["mask"])).sum() == 4  # the mark
    assert torch.equal(sample["image"], before["image"] * before["mask"])
    data = BiasedMNIST(torch.ones(2, 1, 1, 2), torch.zeros(2).long(), torch.tensor([[[[1, 0]]]] * 2), torch.zeros(2))
    for is_masked, expected in ((masked.masked, [1.0, 0.0]), (parts.masked, [1.0, 1.0])):
        (batch,) = Judge(nn.Identity(), masked=is_masked).batches(data)
        assert batch["image"][0].flatten().tolist() == expected


def test_a_first_training_without_errors_makes_the_second_a_plain_one(parts, monkeypatch):
    monkeypatch.setattr(
        jtt, "outputs", lambda network, samples, _: nn.functional.one_hot(jtt.labels(samples), N_CLASSES)
    )
    before = state(parts.network)
    second = jtt.with_second_training(50.0)(parts).first_stage(parts, 20, 1, 1e-3)
    assert all(sample["weight"] == 1 for sample in second.samples)
    assert second.network is parts.network
    assert all(torch.equal(value, before[name]) for name, value in parts.network.state_dict().items())


def test_errors_of_the_first_training_count_more(parts):
    second = jtt.with_second_training(7.0)(parts).first_stage(parts, 20, 1, 1e-3)
    kinds = sorted({sample["weight"] for sample in second.samples})
    assert kinds[1] / kinds[0] == pytest.approx(7)


def test_weights_of_feature_reweighting_balance_the_classes():
    """γ = ln 2 and p = 1/2 of three samples, two of class 0: e^(−γ p) is the same, so that β alone tells them apart."""
    found = afr.weights(torch.zeros(3, 2), torch.tensor([0, 0, 1]), math.log(2))
    assert found.tolist() == pytest.approx([0.75, 0.75, 1.5])


def test_the_last_layer_is_kept_near_its_start():
    layer = nn.Linear(1, 2)
    loss = afr.WeightedNearStart(layer, 0.5)
    with torch.no_grad():
        layer.weight += torch.tensor([[3.0], [0.0]])
        layer.bias += torch.tensor([0.0, 4.0])
    label = attach(torch.tensor([0, 1]), weight=torch.tensor([0.5, 1.5]))
    found = loss(torch.tensor([[0.0, 0.0], [math.log(3), 0.0]]), label)
    assert found.item() == pytest.approx((0.5 * math.log(2) + 1.5 * math.log(4)) / 2 + 0.5 * (9 + 16), rel=1e-5)


def test_feature_reweighting_changes_the_last_layer_alone(parts):
    second = afr.with_feature_reweighting()(parts).first_stage(parts, 20, 1, 1e-3)
    assert len(second.samples) == 20  # a fifth is held out
    before = state(parts.network)
    second.fit(20, 1, 1e-2)
    changed = [name for name, value in parts.network.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["head.1.weight", "head.1.bias"]


def test_heatmaps_are_compared_at_every_resolution():
    """16 × 16 pixels, R = 2 in the upper left quarter of every 2 × 2 and T = 2 in the others' place beside it.

    Each has the mean 1/2, so that g = 1/2; half of all pixels differ, by 2 / g = 4: 2. Averaged over 2 × 2 they agree.
    """
    ours, theirs = torch.zeros(2, 1, 1, 1, 16, 16)
    ours[..., ::2, ::2] = 2
    theirs[..., ::2, 1::2] = 2
    assert tea.distance(ours, theirs).item() == pytest.approx((2.0 + 0.0) / 2)
    assert tea.distance(10 * ours, 10 * theirs).item() == pytest.approx(1.0)
    assert tea.distance(ours, ours).item() == 0


def test_a_student_has_its_teachers_last_layer_and_heatmaps(parts):
    second = tea.with_explanations_alone(parts).first_stage(parts, 20, 1, 1e-3)
    teacher = second.classification_loss.teacher
    head = split(parts.network)[1]
    assert torch.equal(head.weight, split(teacher)[1].weight)
    assert all((sample["image"] * (1 - sample["mask"])).sum() == 4 for sample in second.samples)  # the mark is there
    before = state(parts.network)
    second.fit(20, 1, 1e-3)
    assert torch.equal(head.weight, before["head.1.weight"])
    assert not torch.equal(parts.network.stage1[0].weight, before["stage1.0.weight"])
