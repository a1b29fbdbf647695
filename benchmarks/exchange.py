# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A penalty on what an exchange of backgrounds changes, to search with: no relevance, but a second forward pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from benchmarks.parts import Parts, Step, with_masks
from monai_debias.attached import attach, attached, plain_tensor


def with_exchange(weight: float = 5.0) -> Step:
    """A penalty on what an exchange of backgrounds changes, beside what else the inferer does."""

    def step(parts: Parts) -> Parts:
        parts = with_masks(parts)
        return replace(parts, inferer=ExchangedBackgrounds(parts.inferer), classification_loss=ExchangeLoss(weight))

    return step


class ExchangedBackgrounds(Inferer):
    """In training attaches Σ_k (p_k(x) − p_k(x̃))² to the logits, with x̃ the image on the background of the next one.

    Where the other image has its region of interest, x̃ is black. Of rows without a mask the penalty is 0.
    """

    def __init__(self, inferer: Inferer) -> None:
        super().__init__()
        self.inferer = inferer

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run the network, twice in training."""
        explain = attached(inputs, "explain")
        logits = self.inferer(inputs, network, *args, **kwargs)
        if not network.training:
            return logits
        rows = torch.arange(len(inputs)) if explain["rows"] is None else explain["rows"]
        images, masks = (part.as_subclass(torch.Tensor)[rows] for part in (inputs, explain["masks"]))
        exchanged = masks * images + (1 - masks) * ((1 - masks) * images).roll(1, 0)
        plain = plain_tensor(logits)
        changes = plain.new_zeros(len(plain))
        if len(rows) > 1:
            after = network(exchanged).softmax(1)
            changes = changes.index_copy(0, rows, (plain[rows].softmax(1) - after).square().sum(1))
        return attach(logits, exchange=changes)


class ExchangeLoss(nn.Module):
    """Cross-entropy of each row, plus a weight times what the exchange of its background changes."""

    ignore_value = ()  # so that an ISNet's loss around it leaves it what is attached

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of each row, (B,)."""
        changes = attached(pred, "exchange")
        for part in ("mask", "has_mask"):
            attached(label, part)
        return nn.functional.cross_entropy(pred, label, reduction="none") + self.weight * changes
