# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Right for the right reasons: the classic penalty on input gradients outside the mask, to compare the ISNet with."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from monai_debias.attached import attach, attached, take_apart


class RightForTheRightReasons(nn.Module):
    """Cross-entropy plus the squared input gradients outside the mask (Ross, Hughes and Doshi-Velez, IJCAI 2017).

    The squares are summed over the image and averaged over the batch; the original sums over the batch, too.
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
