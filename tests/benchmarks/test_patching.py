# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Activation patching and the parts of a logit, on a network that is worked by hand, and on MONAI's."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DenseNet
from torch import nn

from benchmarks.evidence.testbeds.colour_corner import COLOURS, NETWORKS, load
from benchmarks.exchanged_pairs import LAYERS, PARTS, Measured, Pairs
from benchmarks.figures import clean_heatmaps
from benchmarks.methods import METHODS
from benchmarks.patching import parts_of_logit, with_patch, with_switches_held
from monai_debias.masks import pool_mask

WITHOUT, WITH = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 1.0]]])  # a digit's pixel and that of a mark
MASK = torch.tensor([[[1.0, 0.0]]])


@pytest.fixture(name="gate")
def fixture_gate() -> nn.Module:
    """Logits of h₁ = relu(digit) and h₂ = relu(digit − 2 mark): z = (2 h₂, h₁)."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    network[1].weight.data = torch.tensor([[1.0, 0.0], [1.0, -2.0]])
    network[3].weight.data = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    return network


def difference(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 0] - logits[:, 1]


def test_a_mark_changes_the_relevance_inside_alone(gate):
    without, with_mark = (parts_of_logit(gate, x, MASK, difference) for x in (WITHOUT, WITH))
    assert (without.inside, without.outside, without.biases) == (1, 0, 0)
    assert (with_mark.inside, with_mark.outside, with_mark.biases) == (-1, 0, 0)
    assert without.relevance.tolist() == [[[1, 0]]]


def test_held_switches_keep_the_decision(gate):
    assert gate(WITH).tolist() == [[0, 1]]
    assert with_switches_held(gate, WITH, WITHOUT).tolist() == [[0, 1]]  # h₂ stays off
    assert with_switches_held(gate, WITHOUT, WITH).tolist() == [[-2, 1]]  # h₂ = 1 - 2 stays on


def test_a_patch_of_the_unit_that_the_mark_switches_off_brings_the_decision_back(gate):
    switched = with_patch(gate, "2", WITH, WITHOUT, lambda here, there: (here > 0) != (there > 0))
    assert switched.tolist() == gate(WITHOUT).tolist() == [[2, 1]]
    assert with_patch(gate, "2", WITH, WITHOUT, lambda here, there: (here > 0) & (there > 0)).tolist() == [[0, 1]]
    assert not gate[2]._forward_hooks


def test_the_parts_add_up_and_whole_patches_are_the_other_image():
    torch.manual_seed(0)
    network = DenseNet(2, 3, 4, init_features=4, growth_rate=4, block_config=(1, 1), bn_size=1).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data.normal_()
    images, others, masks = torch.rand(2, 3, 24, 24), torch.rand(2, 3, 24, 24), (torch.rand(2, 1, 24, 24) > 0.5).float()
    logits, expected = network(images), network(others)
    torch.testing.assert_close(parts_of_logit(network, images, masks, difference).total(), difference(logits.detach()))
    for layer in ("features.conv0", "features.transition1", "class_layers.relu"):
        torch.testing.assert_close(with_patch(network, layer, images, others, lambda a, _: a == a), expected)
        torch.testing.assert_close(with_patch(network, layer, images, others, lambda a, _: a != a), logits)
    torch.testing.assert_close(with_switches_held(network, images, images), logits)


def test_a_position_is_inside_if_any_of_it_is():
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 4:20, 4:20] = 1
    assert pool_mask(mask, [6, 6]).sum() == 16
    assert pool_mask(mask, [3, 3]).all()


def test_pairs_have_the_digit_and_the_corner_of_another_class():
    pairs = Pairs(load("validation"))
    inside = pairs.masks.bool().expand_as(pairs.images)
    assert torch.equal(pairs.exchanged[inside], pairs.images[inside])
    named = torch.cdist(pairs.exchanged[:, :, 0, 0], COLOURS.float()).argmin(1)
    assert torch.equal(named, pairs.mark)
    assert not (pairs.mark == pairs.label).any()


def test_a_network_is_measured_and_drawn():
    torch.manual_seed(0)
    data = load("validation")
    pairs = Pairs(type(data)(*(part[:20] for part in data)))
    network = NETWORKS["densenet"].make().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = Measured(network, pairs)
    row = found.row()
    assert row["change"] == pytest.approx(sum(row[f"change_{part}"] for part in PARTS), abs=1e-5)
    assert all(row[f"{layer}_{place}"] <= 1 for layer in LAYERS for place in ("inside", "outside"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training
    assert clean_heatmaps.TRAINED.keys() <= METHODS.keys()
    rows = [{"method": name, **{column: str(value) for column, value in row.items()}} for name in ("isnet_paper",)]
    assert [table.count("\n") for table in clean_heatmaps.quoted(rows)] == [1 + len(clean_heatmaps.TABLE), 3]
