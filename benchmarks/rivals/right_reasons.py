# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Right for the right reasons (RRR): the classic penalty on input gradients outside the mask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from benchmarks.parts import Parts, Step
from monai_debias.attached import attach, attached, take_apart
from monai_debias.transforms import FillMaskd


def with_right_reasons(weight: float = 1.0) -> Step:
    """The penalty of :class:`RightForTheRightReasons`; samples without a mask have none."""
    return lambda parts: _penalised(parts, weight)


def _penalised(parts: Parts, weight: float) -> Parts:
    return replace(
        parts,
        transforms=(*parts.transforms, FillMaskd()),
        keys=(*parts.keys, "mask", "has_mask"),
        inferer=InputGradients(),
        classification_loss=RightForTheRightReasons(weight),
    )


class RightForTheRightReasons(nn.Module):
    r"""Cross-entropy plus the squared input gradients outside the mask.

    .. math:: -\sum_k y_k \ln p_k + \lambda \sum_d \Bigl((1 - M_d) \frac{\partial}{\partial x_d} \sum_k \ln p_k\Bigr)^2

    Both terms are averaged over the batch, where the paper adds them up, which leaves their ratio. Its third term, a
    weight decay, is left out: no method has one here.

    Args:
        weight: λ.

    Reference:
        Ross, Hughes and Doshi-Velez, IJCAI 2017, the loss of right answers and right reasons.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, from logits with the gradient and labels with the mask attached."""
        label, companions = take_apart(label)
        gradient = attached(pred, "gradient")
        outside = gradient * (1 - companions["mask"].as_subclass(torch.Tensor).float())
        right = nn.functional.cross_entropy(pred, label)
        return right + self.weight * outside.square().flatten(1).sum(1).mean()


class InputGradients(Inferer):
    """Logits, and in training the gradient of the sum of all log-probabilities with respect to the image."""

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run the network."""
        inputs, _ = take_apart(inputs)
        if not (network.training and torch.is_grad_enabled()):
            return network(inputs)
        image = inputs.detach().requires_grad_()
        logits = network(image)
        (gradient,) = torch.autograd.grad(logits.log_softmax(1).sum(), image, create_graph=True)
        return attach(logits, gradient=gradient)
