# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Automatic feature reweighting (AFR): the last layer is trained anew, on what the network was least sure of.

The paper chooses γ, λ and the epoch by the worst group of validation data whose groups are known; here they are chosen
as those of every other method. The paper descends on the whole held-out set at once for hundreds of steps; here the
last layer is trained like every network, by Adam in mini-batches, for as many epochs. The objective is the same, and
convex.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from benchmarks.parts import Parts, Step
from benchmarks.rivals.last_layer import labels, outputs, split
from monai_debias.attached import attached


def with_feature_reweighting(gamma: float = 1.0, distance_weight: float = 0.1, held_out: float = 0.2) -> Step:
    """Train the network on most samples, and then its last layer alone on the others, by weight.

    Args:
        gamma: γ of the weights, 0 or more.
        distance_weight: λ of :class:`WeightedNearStart`, 0 or more.
        held_out: share of the samples for the last layer; the paper's is 0.2.

    Reference:
        Qiu et al., ICML 2023, the weights and the loss of the second stage; the scale of both is that of their code.
    """

    def first_stage(parts: Parts, batch: int, epochs: int, learning_rate: float) -> Parts:
        order = torch.randperm(len(parts.samples), generator=torch.Generator().manual_seed(parts.seed)).tolist()
        for_head = round(held_out * len(order))
        samples, others = ([parts.samples[n] for n in some] for some in (order[:for_head], order[for_head:]))
        replace(parts, samples=others).fit(batch, epochs, learning_rate)
        body, head = split(parts.network)
        features = outputs(body, samples, parts.normalize)
        with torch.no_grad():
            found = weights(head(features), labels(samples), gamma)
        seen = [
            {"image": x, "label": sample["label"], "weight": weight}
            for x, sample, weight in zip(features, samples, found.tolist(), strict=True)
        ]
        loss = WeightedNearStart(head, distance_weight)
        keys = ("image", "label", "weight")
        parts = replace(parts, samples=seen, transforms=(), normalize=None, keys=keys)
        return replace(parts, part=head, classification_loss=loss)

    return lambda parts: replace(parts, first_stage=first_stage)


def weights(logits: torch.Tensor, label: torch.Tensor, gamma: float) -> torch.Tensor:
    r"""A weight for each sample, (N,): :math:`\beta_y \exp(-\gamma p_y)`, scaled to 1 on average.

    p_y is the probability of the label, and β_y the reciprocal of the number of samples with it.

    >>> sure = torch.tensor([3.0, 1.0, 1.0]).log()  # p = 0.6 for the first of three classes
    >>> weights(torch.stack([sure, sure.flip(0)]), torch.tensor([0, 0]), gamma=5.0)  # p = 0.6 and 0.2
    tensor([0.2384, 1.7616])
    """
    probability = logits.softmax(1).gather(1, label[:, None])[:, 0]
    balance = 1 / label.bincount()[label]
    found = balance * torch.exp(-gamma * probability)
    return found / found.mean()


class WeightedNearStart(nn.Module):
    r"""Weighted cross-entropy, plus :math:`\lambda \|\theta - \theta_0\|^2` for a layer to stay near its start.

    Args:
        layer: its weights and biases are θ; their present values are θ₀.
        distance_weight: λ.
    """

    def __init__(self, layer: nn.Module, distance_weight: float) -> None:
        super().__init__()
        self.layer, self.start, self.distance_weight = layer, deepcopy(layer).requires_grad_(False), distance_weight

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, from logits and labels with the weight attached."""
        weight = attached(label, "weight").to(pred)
        pairs = zip(self.layer.parameters(), self.start.parameters(), strict=True)
        distance = torch.stack([(now - before).square().sum() for now, before in pairs]).sum()
        losses = nn.functional.cross_entropy(pred, label, reduction="none")
        return (weight * losses).mean() + self.distance_weight * distance
