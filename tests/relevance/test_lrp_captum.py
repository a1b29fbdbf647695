# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Agreement with captum's layer-wise relevance propagation, an independent implementation."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LRP as CaptumLRP  # noqa: N811
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import nn

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import relative_error


def dense() -> tuple[nn.Sequential, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4)), (9,)


def signal() -> tuple[nn.Sequential, tuple[int, ...]]:
    first = nn.Conv1d(2, 6, 5, padding=2), nn.ReLU(), nn.AvgPool1d(2), nn.Conv1d(6, 8, 3, stride=2), nn.ReLU()
    return nn.Sequential(*first, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)), (2, 32)


def image() -> tuple[nn.Sequential, tuple[int, ...]]:
    first = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, dilation=2), nn.ReLU()
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(8 * 16, 10), nn.ReLU(), nn.Linear(10, 4)), (1, 16, 16)


def volume() -> tuple[nn.Sequential, tuple[int, ...]]:
    first = nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool3d(2), nn.Conv3d(4, 6, 3), nn.ReLU()
    return nn.Sequential(*first, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 4)), (1, 8, 8, 8)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("epsilon", [1e-4, 1e-2])
@pytest.mark.parametrize("make", [dense, signal, image, volume])
def test_epsilon_rule(make, epsilon, bias) -> None:
    torch.manual_seed(0)
    network, shape = make()
    network = network.double().eval()
    rule_of = {}
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.normal_(layer.bias, std=0.1 if bias else 0.0)
        if not isinstance(layer, nn.ReLU):
            # captum divides by the stabilised output of pooling layers, too, where there is nothing to stabilise
            rule_of[layer] = EpsilonRule(epsilon if hasattr(layer, "weight") else 1e-12)
    x = torch.randn(3, *shape, dtype=torch.double)
    labels = torch.tensor([0, 3, 1])
    logits, relevance = LRP(network, epsilon)(x, labels)
    for layer, rule in rule_of.items():
        layer.rule = rule
    expected = CaptumLRP(network).attribute(x, target=labels).detach()
    explained = logits.gather(1, labels[:, None])
    last = explained / (explained + epsilon * explained.sign())  # captum divides at the last layer as well
    relevance = relevance[:, 0] * last.reshape(3, *[1] * len(shape))
    assert relative_error(relevance, expected) < 1e-3
