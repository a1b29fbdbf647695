# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The classification loss inside the losses of this package: chosen by task or user, with a value for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import monai.losses
import torch
from monai.utils import LossReduction
from torch.nn import functional as F  # noqa: N812

from monai_debias.constraints import MODULE, NONE, STRING, OneOf
from monai_debias.labels import ignored_values
from monai_debias.losses.logits_and_labels import (
    LabelKind,
    check_finite,
    known_labels,
    refuse_no_distributions,
    without_meta,
)
from monai_debias.losses.reduction import sum_over_processes
from monai_debias.without_waiting import look

__all__ = [
    "CLASSIFICATION_LOSS",
    "REDUCTION",
    "CrossEntropy",
    "has_sigmoids",
    "ignored_by",
    "make_classification_loss",
    "sample_losses",
]

CLASSIFICATION_LOSS = (NONE | STRING | MODULE).called("None, 'bce', the name of a loss, or a loss")
REDUCTION = OneOf(*LossReduction)


class CrossEntropy(torch.nn.Module):
    """Cross-entropy of each sample: of the softmax, or, for one logit or several labels, of each logit's sigmoid.

    Args:
        multi_label: whether every logit is a label of its own. One logit always is.

    Raises:
        ValueError: in a call, when labels are rows that are not a distribution over the classes.
    """

    reduction = "none"

    def __init__(self, multi_label: bool = False) -> None:
        super().__init__()
        self.multi_label = multi_label
        self.label_kind = LabelKind(softmax=not multi_label, bounded=True)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each sample.

        Args:
            logits: shape (B, K).
            label: class indices (B,), or (B, K): one-hot, soft or mixed; (B,) or (B, 1) for one logit.

        Returns:
            Shape (B,), or (B, K) with a value for each label of a multi-label task or of one logit.
        """
        if self.multi_label or logits.shape[1] == 1:
            label = label.reshape(logits.shape).to(logits.dtype)
            return F.binary_cross_entropy_with_logits(logits, label, reduction="none")
        if label.shape != logits.shape:
            return F.cross_entropy(logits, label.reshape(len(logits)).long(), reduction="none")
        refuse_no_distributions(label)
        return F.cross_entropy(logits, label.to(logits.dtype), reduction="none")


def make_classification_loss(loss: torch.nn.Module | str | None) -> torch.nn.Module:
    """Return the loss that an argument ``classification_loss`` stands for, which has a value for each sample.

    Args:
        loss: None for cross-entropy, binary for one logit; ``"bce"`` for the binary cross-entropy of each label; the
            name of a loss of ``torch.nn`` or ``monai.losses``; or a loss that was made with ``reduction="none"``.

    Raises:
        ValueError: when the name is unknown, or the loss reduces by itself.
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
    own = getattr(loss, "reduction", LossReduction.NONE.value)
    if own != LossReduction.NONE.value:
        raise ValueError(
            f'{type(loss).__name__} must be made with reduction="none", so that it returns a loss for each sample, got '
            f"reduction={own!r}: the loss around it takes the mean."
        )
    return loss


def ignored_by(loss: torch.nn.Module, ignore_value: float | Sequence[float] | None) -> tuple[float, ...]:
    """The values that mark missing labels, for a loss around a classification loss.

    Args:
        loss: from :func:`make_classification_loss`. One of this package has an ``ignore_value`` of its own, and some of
            torch have an ``ignore_index``.
        ignore_value: that of the loss around it.

    Raises:
        ValueError: when ``ignore_value`` is not a number, or differs from that of a loss of this package inside.
    """
    given = ignored_values(ignore_value)
    if not hasattr(loss, "ignore_value"):
        index = getattr(loss, "ignore_index", None)
        return given if index is None else (*given, index)
    own: Any = loss.ignore_value
    if given and repr(given) != repr(own):  # NaN is not equal to itself
        raise ValueError(
            f"ignore_value={ignore_value!r} contradicts that of the {type(loss).__name__} inside, {own}: give it to "
            "that one, which looks at the labels."
        )
    return own


def has_sigmoids(loss: torch.nn.Module, multi_label: bool | None) -> bool | None:
    """Whether each of several logits is a label of its own for a classification loss; None where that is unknown.

    Args:
        loss: from :func:`make_classification_loss`; one of this package is asked for the loss that it wraps.
        multi_label: what the loss around it was told.

    Raises:
        ValueError: when it was told the opposite of what the loss is for.
    """
    while hasattr(loss, "classification_loss"):
        loss = loss.classification_loss  # type: ignore[assignment]
    softmax = LabelKind.of(loss).softmax
    known = None if softmax is None else not softmax
    if None not in (known, multi_label) and known != multi_label:
        raise ValueError(
            f"multi_label={multi_label} contradicts the classification loss {type(loss).__name__}, which is for "
            f"{'several labels' if known else 'a softmax'}: leave multi_label out."
        )
    return multi_label if known is None else known


def sample_losses(
    loss: torch.nn.Module, pred: torch.Tensor, label: Any, ignored: tuple[float, ...] = (), n_groups: int = 1
) -> torch.Tensor:
    """Return the loss of each row, (B,), weighted so that its mean is that over all known labels.

    A missing label costs nothing and leaves its share to the others: where N of B labels are known, each of them counts
    B/N times. In a distributed training N and B are those of all processes. Where no label is known, all values are 0.

    Args:
        loss: from :func:`make_classification_loss`; what it returns for a sample beyond one number is averaged. A loss
            of this package inside looks at logits and labels itself, and takes what is attached to them; it may have
            more rows than these.
        pred: logits (B, K).
        label: what the loss takes.
        ignored: values of missing labels.
        n_groups: number of equal groups of rows with a mean of their own.

    Raises:
        FloatingPointError: when logits or losses are NaN or infinite.
        TypeError: when labels are not a tensor.
        ValueError: when labels do not fit the logits, when the loss has no value for each sample, or when labels are
            missing that cannot be left out of what it returned.
    """
    if hasattr(loss, "ignore_value"):
        values = loss(pred, label)
    else:
        logits, label = without_meta(pred), without_meta(label)
        if logits.ndim != 2 or len(logits) == 0:
            raise ValueError(f"logits must be of shape (B, K), B > 0, got {tuple(logits.shape)}.")
        check_finite(logits, "logits")
        label, known = known_labels(logits, label, LabelKind.of(loss), ignored)
        values = loss(logits, label)
        if known is None:
            values = _of_each_sample(loss, values, logits)
        else:
            known = known.reshape(len(known), -1)
            counts = known.sum(1).to(torch.promote_types(logits.dtype, torch.float32))
            values = _totals(loss, values, logits, known) * _shares(counts, logits, n_groups)
    check_finite(values, "classification losses")
    return values


def _totals(loss: torch.nn.Module, values: torch.Tensor, logits: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The sum of the losses of a sample's known labels, (B,), from the values that the loss returned for all."""
    if values.shape == logits.shape and known.shape[1] == logits.shape[1]:
        return torch.where(known, values, 0).sum(1)
    look(partial(_refuse_missing_parts, type(loss).__name__, values.shape, logits.shape), known)
    return torch.where(known.all(1), _of_each_sample(loss, values, logits), 0) * known.shape[1]


def _refuse_missing_parts(name: str, returned: torch.Size, wanted: torch.Size, known: torch.Tensor) -> None:
    if bool((known.any(1) & ~known.all(1)).any()):
        raise ValueError(
            f"some labels of a sample are missing, and {name} returned shape {tuple(returned)}: they can only be left "
            f"out of a value for each label, {tuple(wanted)}, as of "
            'BCEWithLogitsLoss(reduction="none").'
        )


def _shares(counts: torch.Tensor, logits: torch.Tensor, n_groups: int) -> torch.Tensor:
    """By how much the labels of each sample count, (B,): B/N for N labels in B samples of all processes."""
    n_each = len(counts) // n_groups
    total, n_processes = sum_over_processes(counts.reshape(n_groups, n_each).sum(1), logits)
    return torch.where(total > 0, n_each * n_processes / total, 0).repeat_interleave(n_each)


def _of_each_sample(loss: torch.nn.Module, values: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """What a loss returned, as one value for each sample, (B,)."""
    if values.ndim == 0 or len(values) != len(logits):
        got = "a single number" if values.ndim == 0 else f"shape {tuple(values.shape)}"
        raise ValueError(
            f"{type(loss).__name__} gave {got} for {len(logits)} samples, and a loss for each is needed; make it with "
            'reduction="none".'
        )
    return values.reshape(len(values), -1).mean(1)
