# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the logits and labels of a batch fit each other, and which labels are missing: for all losses alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import monai.losses
import torch

from monai_debias.labels import is_missing, refuse_labels

__all__ = ["LabelKind", "check_finite", "class_shares", "known_labels", "refuse_no_distributions", "without_meta"]

ROUNDING = 1e-2  # how far the sum of mixed labels of half precision may be from 1


class LabelKind(NamedTuple):
    """What kind of labels a classification loss takes."""

    softmax: bool | None  # the class of a sample, or a label for each logit; None where that is not known
    bounded: bool  # whether labels for each logit must lie in [0, 1]

    @classmethod
    def of(cls, loss: torch.nn.Module) -> LabelKind:
        """What is known of a loss of torch or MONAI; a loss of this package has an attribute ``label_kind``."""
        if isinstance(loss, torch.nn.CrossEntropyLoss | torch.nn.NLLLoss):
            return cls(softmax=True, bounded=True)
        if isinstance(loss, torch.nn.BCEWithLogitsLoss | torch.nn.MultiLabelSoftMarginLoss):
            return cls(softmax=False, bounded=True)
        if isinstance(loss, monai.losses.FocalLoss):
            return cls(softmax=True if loss.use_softmax else None, bounded=True)
        return getattr(loss, "label_kind", cls(softmax=None, bounded=False))


def without_meta(value: Any) -> Any:
    """A MetaTensor as a plain tensor, since meta data would follow every operation; anything else as it is."""
    return value.as_subclass(torch.Tensor) if isinstance(value, torch.Tensor) else value


def check_finite(values: torch.Tensor, name: str) -> None:
    """Refuse NaN and infinite values.

    Args:
        values: shape (B, ...).
        name: what the message calls them, in the plural.

    Raises:
        FloatingPointError: when there are any; the message names the rows.
    """
    finite = values.detach().isfinite()
    if bool(finite.all()):
        return
    rows = (~finite.reshape(len(finite), -1).all(1)).nonzero().flatten().tolist()
    raise FloatingPointError(
        f"the {name} have NaN or infinite values in {len(rows)} of {len(values)} rows of the batch, "
        f"{_shortened(rows)}: training has diverged, or the images of these rows are not finite. Try a lower learning "
        "rate, lower weights of the loss's terms, or gradient clipping."
    )


def known_labels(logits: torch.Tensor, label: Any, kind: LabelKind, ignored: tuple[float, ...]) -> torch.Tensor:
    """Check that the labels of a batch fit the logits, and return which of them are known.

    Args:
        logits: shape (B, K).
        label: class indices (B,) or (B, 1), rows (B, K), or for one logit (B,) or (B, 1).
        kind: what the loss takes; for an unknown loss, only what no loss takes is refused.
        ignored: values of missing labels.

    Returns:
        Boolean, (B,) for a label of each sample, or (B, K) for one of each logit.

    Raises:
        TypeError: when labels are not a tensor.
        ValueError: when they have another shape or type than the loss takes, are NaN or infinite, no class, or outside
            of [0, 1].
    """
    n, n_logits = logits.shape
    if not isinstance(label, torch.Tensor):
        raise TypeError(f"expected a tensor of labels, got {type(label).__name__}.")
    if len(label.shape) == 0 or len(label) != n:
        raise ValueError(f"there are {n} rows of logits, but labels of shape {tuple(label.shape)}.")
    if n_logits > 1 and label.numel() == n and kind.softmax is not False:
        return _known_classes(label.reshape(n), n_logits, kind, ignored)
    if label.numel() == logits.numel():
        known = _known_rows(label.reshape(n, n_logits), kind, ignored)
        return known.all(1) if kind.softmax and n_logits > 1 else known
    if kind.softmax is None:  # for the loss to judge
        return torch.ones(n, dtype=torch.bool, device=label.device)
    wanted = f"class indices ({n},) or rows {(n, n_logits)} for the logits"
    if not kind.softmax or n_logits == 1:
        wanted = f"a label of 0 to 1 for each logit, {(n, n_logits)}"
    raise ValueError(f"expected {wanted}, got {label.dtype} of shape {tuple(label.shape)}.")


def class_shares(logits: torch.Tensor, label: torch.Tensor, ignored: tuple[float, ...]) -> torch.Tensor:
    """How much each sample belongs to each class, of a softmax or of one logit.

    Args:
        logits: shape (B, K).
        label: as for :func:`known_labels`.
        ignored: values of missing labels.

    Returns:
        Shape (B, K), or for one logit (B, 2) of the negative and the positive class, in the dtype of the logits; 0 for
        a sample whose label is missing.

    Raises:
        TypeError: when labels are not a tensor.
        ValueError: when they are neither class indices nor distributions over the classes.
    """
    n, n_logits = logits.shape
    known = known_labels(logits, label, LabelKind(softmax=True, bounded=True), ignored).reshape(n, 1)
    if n_logits == 1:
        positive = label.reshape(n, 1).to(logits)
        shares = torch.cat([1 - positive, positive], 1)
    elif label.numel() == logits.numel():
        shares = label.reshape(logits.shape).to(logits)
        refuse_no_distributions(shares, known.flatten())
    else:
        index = label.reshape(n, 1).long().masked_fill(~known, 0)
        shares = torch.zeros_like(logits, requires_grad=False).scatter(1, index, 1.0)
    return torch.where(known, shares, 0)


def refuse_no_distributions(label: torch.Tensor, known: torch.Tensor) -> None:
    """Refuse rows (B, K) of labels that do not add up to 1, where they are known, (B,)."""
    bad = known & ~((label.sum(1) - 1).abs() <= ROUNDING)
    if bool(bad.any()):
        rows = bad.nonzero().flatten().tolist()
        raise ValueError(
            f"the labels of shape {tuple(label.shape)} have rows that do not add up to 1, as a distribution over the "
            f'classes does: {_shortened(rows)}. For a multi-label task choose the loss "bce", or with another loss '
            "multi_label=True."
        )


def _known_classes(label: torch.Tensor, n_classes: int, kind: LabelKind, ignored: tuple[float, ...]) -> torch.Tensor:
    if kind.softmax and label.is_floating_point():
        raise ValueError(
            f"expected class indices ({len(label)},) or rows {(len(label), n_classes)} for the logits, got "
            f"{label.dtype} of shape {tuple(label.shape)}."
        )
    missing, index = is_missing(label, ignored), label.double() if label.is_floating_point() else label.long()
    no_class = ~((index >= 0) & (index < n_classes) & (index == index.long()))
    refuse_labels(no_class & ~missing, label, f"is none of the {n_classes} classes, 0 to {n_classes - 1}")
    return ~missing


def _known_rows(label: torch.Tensor, kind: LabelKind, ignored: tuple[float, ...]) -> torch.Tensor:
    missing, values = is_missing(label, ignored), label if label.is_floating_point() else label.float()
    if kind.bounded:
        outside = ~((values - values.clamp(0, 1)).abs() <= ROUNDING)
        refuse_labels(outside & ~missing, label, "does not lie in [0, 1]")
    else:
        refuse_labels(~values.isfinite() & ~missing, label, "is not finite")
    return ~missing


def _shortened(rows: list[int], n: int = 10) -> str:
    return f"row(s) {rows[:n]}" + (" …" if len(rows) > n else "")
