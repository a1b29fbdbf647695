# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Early-learning regularisation (ELR): a rival made for wrong labels, which keeps what was learned before them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from benchmarks.parts import Parts, Step


def with_early_learning(weight: float = 3.0, memory: float = 0.7) -> Step:
    """The loss of :class:`EarlyLearningLoss`; a sample's label gets its number as a last entry."""

    def step(parts: Parts) -> Parts:
        numbered = [
            {**sample, "label": torch.cat([sample["label"], torch.tensor([float(number)])])}
            for number, sample in enumerate(parts.samples)
        ]
        loss = EarlyLearningLoss(len(numbered), parts.n_classes, weight, memory)
        return replace(parts, samples=numbered, classification_loss=loss)

    return step


class EarlyLearningLoss(nn.Module):
    r"""Binary cross-entropy, and a pull towards a moving average of the sample's own predictions.

    With p the probabilities of a sample and its targets :math:`t \leftarrow \beta t + (1 - \beta) p`, for each label

    .. math:: \mathrm{BCE}(p, y) + \lambda \ln\bigl(1 - (p\,t + (1 - p)(1 - t))\bigr)

    The paper has a softmax, whose inner product of p and t is here that of the two outcomes of a label.

    Args:
        samples: how many there are.
        n_classes: K.
        weight: λ; the authors' is 3 for CIFAR-10.
        memory: β; theirs is 0.7.

    Reference:
        Liu et al., Early-learning regularization prevents memorization of noisy labels, NeurIPS 2020, equation 6.
    """

    def __init__(self, samples: int, n_classes: int, weight: float, memory: float) -> None:
        super().__init__()
        self.weight, self.memory = weight, memory
        self.targets = torch.full((samples, n_classes), 0.5)

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of each label, (B, K), from logits (B, K) and labels (B, K + 1) that end in the sample's number."""
        label, numbers = label[:, :-1], label[:, -1].long()
        p = pred.sigmoid().clamp(1e-4, 1 - 1e-4)
        targets = self.memory * self.targets[numbers] + (1 - self.memory) * p.detach()
        self.targets[numbers] = targets
        agreement = p * targets + (1 - p) * (1 - targets)
        entropy = nn.functional.binary_cross_entropy_with_logits(pred, label, reduction="none")
        return entropy + self.weight * (1 - agreement).log()
