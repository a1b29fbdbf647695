# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the logits and labels of a batch fit each other, and which labels are missing: for all losses alike."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import monai.losses
import torch

from monai_debias.labels import is_missing, refuse_labels
from monai_debias.without_waiting import look, waits

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
        values: shape (B, ...), one number or a few for each sample.
        name: what the message calls them, in the plural.

    Raises:
        FloatingPointError: when there are any; the message names the rows.
    """
    look(partial(_refuse_infinite, name), values)


def _refuse_infinite(name: str, values: torch.Tensor) -> None:
    finite = values.isfinite()
    if bool(finite.all()):
        return
    rows = (~finite.reshape(len(finite), -1).all(1)).nonzero().flatten().tolist()
    raise FloatingPointError(
        f"the {name} have NaN or infinite values in {len(rows)} of {len(values)} rows of the batch, "
        f"{_shortened(rows)}: training has diverged, or the images of these rows are not finite. Try a lower learning "
        "rate, lower weights of the loss's terms, or gradient clipping."
    )


def known_labels(
    logits: torch.Tensor, label: Any, kind: LabelKind, ignored: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Check that the labels of a batch fit the logits, and return which of them are known.

    Args:
        logits: shape (B, K).
        label: class indices (B,) or (B, 1), rows (B, K), or for one logit (B,) or (B, 1).
        kind: what the loss takes; for an unknown loss, only what no loss takes is refused.
        ignored: values of missing labels.

    Returns:
        The labels, with one that is allowed in place of each missing one, and of each that is refused one step later;
        and which are known, boolean, (B,) for a label of each sample, (B, K) for one of each logit, or None for all.

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
        allowed, known = _known_classes(label.reshape(n), n_logits, kind, ignored)
    elif label.numel() == logits.numel():
        allowed, known = _known_rows(label.reshape(n, n_logits), kind, ignored)
    elif kind.softmax is None:  # for the loss to judge
        return label, None
    else:
        wanted = f"class indices ({n},) or rows {(n, n_logits)} for the logits"
        if not kind.softmax or n_logits == 1:
            wanted = f"a label of 0 to 1 for each logit, {(n, n_logits)}"
        raise ValueError(f"expected {wanted}, got {label.dtype} of shape {tuple(label.shape)}.")
    return allowed.reshape(label.shape), known


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
    label, known = known_labels(logits, label, LabelKind(softmax=True, bounded=True), ignored)
    if n_logits == 1:
        positive = label.reshape(n, 1).to(logits)
        shares = torch.cat([1 - positive, positive], 1)
    elif label.numel() == logits.numel():
        shares = label.reshape(logits.shape).to(logits)
        refuse_no_distributions(shares)
    else:
        shares = torch.zeros_like(logits, requires_grad=False).scatter(1, label.reshape(n, 1).long(), 1.0)
    return shares if known is None else torch.where(known.reshape(n, 1), shares, 0)


def refuse_no_distributions(label: torch.Tensor) -> None:
    """Refuse rows (B, K) of labels that do not add up to 1."""
    look(_refuse_other_sums, label)


def _refuse_other_sums(label: torch.Tensor) -> None:
    bad = ~((label.sum(1) - 1).abs() <= ROUNDING)
    if bool(bad.any()):
        rows = bad.nonzero().flatten().tolist()
        raise ValueError(
            f"the labels of shape {tuple(label.shape)} have rows that do not add up to 1, as a distribution over the "
            f'classes does: {_shortened(rows)}. For a multi-label task choose the loss "bce", or with another loss '
            "multi_label=True."
        )


def _known_classes(
    label: torch.Tensor, n_classes: int, kind: LabelKind, ignored: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    if kind.softmax and label.is_floating_point():
        raise ValueError(
            f"expected class indices ({len(label)},) or rows {(len(label), n_classes)} for the logits, got "
            f"{label.dtype} of shape {tuple(label.shape)}."
        )
    look(partial(_refuse_no_class, n_classes, ignored), label)
    known = ~is_missing(label, ignored) if ignored else None
    label = label if known is None else torch.where(known, label, 0)
    # a GPU ends the program at a class that does not exist, before anybody reads which it was
    return label.clamp(0, n_classes - 1) if waits(label) else label, known


def _refuse_no_class(n_classes: int, ignored: tuple[float, ...], label: torch.Tensor) -> None:
    missing, index = is_missing(label, ignored), label.double() if label.is_floating_point() else label.long()
    no_class = ~((index >= 0) & (index < n_classes) & (index == index.long()))
    refuse_labels(no_class & ~missing, label, f"is none of the {n_classes} classes, 0 to {n_classes - 1}")


def _known_rows(
    label: torch.Tensor, kind: LabelKind, ignored: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    look(partial(_refuse_no_labels, kind.bounded, ignored), label)
    if not ignored:
        return label, None
    known = ~is_missing(label, ignored)
    if kind.softmax and label.shape[1] > 1:
        known = known.all(1)
        return torch.where(known[:, None], label, 1 / label.shape[1]), known
    return torch.where(known, label, 0), known


def _refuse_no_labels(bounded: bool, ignored: tuple[float, ...], label: torch.Tensor) -> None:
    missing, values = is_missing(label, ignored), label if label.is_floating_point() else label.float()
    if bounded:
        outside = ~((values - values.clamp(0, 1)).abs() <= ROUNDING)
        refuse_labels(outside & ~missing, label, "does not lie in [0, 1]")
    else:
        refuse_labels(~values.isfinite() & ~missing, label, "is not finite")


def _shortened(rows: list[int], n: int = 10) -> str:
    return f"row(s) {rows[:n]}" + (" …" if len(rows) > n else "")
