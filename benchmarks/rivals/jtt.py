# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Just train twice (JTT): the errors of a first, short training count more in a second one.

The paper chooses T, λ and the epoch by the worst group of validation data whose groups are known. Here nobody knows
them: λ is chosen as the settings of all methods are, and the epoch by validation accuracy. Where the shortcut
is always right the first network makes no such errors, and the second training is a plain one.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch

from benchmarks.parts import Parts, Step
from benchmarks.rivals.last_layer import labels, outputs
from monai_debias.losses import SampleWeightedLoss


def with_second_training(error_weight: float = 5.0, first_epochs: int = 1) -> Step:
    r"""Train a copy of the network for a few epochs, and then the network itself with its errors E weighted.

    .. math:: \sum_{(x, y) \in E} \lambda\, \ell(x, y) + \sum_{(x, y) \notin E} \ell(x, y)

    Args:
        error_weight: λ, 1 or more.
        first_epochs: T, of the first training, whose learning rate falls to 0 in them.

    Reference:
        Liu et al., ICML 2021, algorithm 1 and its equation for the upweighted loss.
    """

    def first_stage(parts: Parts, batch: int, epochs: int, learning_rate: float) -> Parts:
        first = replace(parts, network=deepcopy(parts.network))
        first.fit(batch, first_epochs, learning_rate)
        wrong = outputs(first.network, parts.samples, parts.normalize).argmax(1) != labels(parts.samples)
        found = weights(wrong, error_weight).tolist()
        return replace(
            parts,
            samples=[{**sample, "weight": weight} for sample, weight in zip(parts.samples, found, strict=True)],
            keys=(*parts.keys, "weight"),
            loss_parts={**parts.loss_parts, "weight": SampleWeightedLoss},
        )

    return lambda parts: replace(parts, first_stage=first_stage)


def weights(wrong: torch.Tensor, error_weight: float) -> torch.Tensor:
    """A weight for each sample, (N,), λ times greater for errors, and 1 on average.

    >>> weights(torch.tensor([True, False, False, False]), 5.0)
    tensor([2.5000, 0.5000, 0.5000, 0.5000])
    """
    found = torch.where(wrong, error_weight, 1.0)
    return found / found.mean()
