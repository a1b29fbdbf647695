# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The classification loss inside the losses of this package: chosen by task or user, with a value for each sample."""

from __future__ import annotations

from typing import Any

import monai.losses
import torch
from monai.utils import LossReduction
from torch.nn import functional as F  # noqa: N812

from monai_debias.parameters import MODULE, NONE, STRING, OneOf

__all__ = ["CLASSIFICATION_LOSS", "REDUCTION", "ROUNDING", "CrossEntropy", "make_classification_loss", "sample_losses"]

CLASSIFICATION_LOSS = (NONE | STRING | MODULE).called("None, 'bce', the name of a loss, or a loss")
REDUCTION = OneOf(*LossReduction)
ROUNDING = 1e-2  # how far labels of half precision, mixed, may be from a distribution


class CrossEntropy(torch.nn.Module):
    """Cross-entropy of each sample: of the softmax, or for one logit or several labels of each logit's sigmoid.

    Args:
        multi_label: whether every logit is a label of its own. One logit always is.

    Raises:
        ValueError: in a call, when labels have another shape than the task's, lie outside of [0, 1], or have rows
            that are no distribution over the classes.
        TypeError: in a call, when labels are not a tensor.
    """

    reduction = "none"

    def __init__(self, multi_label: bool = False) -> None:
        super().__init__()
        self.multi_label = multi_label

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each sample.

        Args:
            logits: shape (B, K).
            label: class indices (B,), or (B, K): one-hot, soft or mixed; (B,) or (B, 1) for one logit.

        Returns:
            Shape (B,); the mean over the labels of a multi-label task.
        """
        if not isinstance(label, torch.Tensor):
            raise TypeError(f"expected a tensor of labels, got {type(label).__name__}.")
        if self.multi_label or logits.shape[1] == 1:
            if label.numel() != logits.numel():
                raise ValueError(
                    f"expected a label of 0 to 1 for each logit, {tuple(logits.shape)}, got {tuple(label.shape)}."
                )
            label = label.reshape(logits.shape).to(logits.dtype)
            if not bool(((label - label.clamp(0, 1)).abs() <= ROUNDING).all()):
                raise ValueError(
                    f"the labels of binary cross-entropy must lie in [0, 1], got {label.min().item():g} to "
                    f"{label.max().item():g}."
                )
            return F.binary_cross_entropy_with_logits(logits, label, reduction="none").mean(1)
        if label.shape == logits.shape:
            label = label.to(logits.dtype)
            if not bool(((label.sum(1) - 1).abs() <= ROUNDING).all()):
                raise ValueError(
                    f"the labels of shape {tuple(label.shape)} have rows that do not add up to 1: for a multi-label "
                    'task choose the loss "bce".'
                )
        elif label.numel() != len(logits) or label.is_floating_point():
            raise ValueError(
                f"expected class indices ({len(logits)},) or rows {tuple(logits.shape)} for the logits, got "
                f"{label.dtype} of shape {tuple(label.shape)}."
            )
        else:
            label = label.reshape(len(logits)).long()
        return F.cross_entropy(logits, label, reduction="none")


def make_classification_loss(loss: torch.nn.Module | str | None, reduction: str) -> torch.nn.Module:
    """Return the loss that an argument ``classification_loss`` stands for.

    Args:
        loss: None for cross-entropy, binary for one logit; ``"bce"`` for the binary cross-entropy of each label; the
            name of a loss of ``torch.nn`` or ``monai.losses``; or a loss.
        reduction: of the loss around it. Only with ``"mean"`` may ``loss`` return the mean of the batch itself.

    Raises:
        ValueError: when the name is unknown or the loss has another reduction than can be used.
    """
    if loss is None or loss == "bce":
        return CrossEntropy(multi_label=loss is not None)
    if isinstance(loss, str):
        known = getattr(torch.nn, loss, None) or getattr(monai.losses, loss, None)
        if not (isinstance(known, type) and issubclass(known, torch.nn.Module)) or not loss.endswith("Loss"):
            raise ValueError(
                f'classification_loss must be None, "bce", the name of a loss in torch.nn or monai.losses, or a loss, '
                f"got {loss!r}."
            )
        return known(reduction="none")
    own = getattr(loss, "reduction", "none")
    if own != "none" and (own, reduction) != ("mean", "mean"):
        raise ValueError(
            f'{type(loss).__name__} with reduction="{own}" cannot be used with reduction="{reduction}"; make it with '
            'reduction="none".'
        )
    return loss


def sample_losses(loss: torch.nn.Module, logits: torch.Tensor, label: Any, reduction: str) -> torch.Tensor:
    """Return the loss of each sample, (B,), or for ``reduction="mean"`` the mean that the loss itself returned.

    Args:
        loss: from :func:`make_classification_loss`; what it returns for a sample beyond one number is averaged.
        logits: shape (B, K).
        label: what the loss takes.
        reduction: of the loss around it.

    Raises:
        ValueError: when a value for each sample is needed and the loss returned something else.
    """
    values = loss(logits, label)
    if values.ndim == 0:
        if reduction != "mean":
            raise ValueError(
                f'reduction="{reduction}" needs a loss for each sample, but the classification loss gave a single '
                'number; make it with reduction="none".'
            )
        return values
    if len(values) != len(logits):
        raise ValueError(f"the classification loss gave shape {tuple(values.shape)} for {len(logits)} samples.")
    return values.reshape(len(values), -1).mean(1)
