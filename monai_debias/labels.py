# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels of a whole batch, in every form that classification uses, as rows that can be mixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor

from monai_debias.constraints import NONE, Number, SequenceOf
from monai_debias.pixels import native

__all__ = ["IGNORE_VALUE", "check_batch", "ignored_values", "is_missing", "label_rows", "refuse_labels"]


class _LabelNumber(Number):
    """A finite number or NaN."""

    def _in_range(self, value: float) -> bool:
        return super()._in_range(value) or value != value


IGNORE_VALUE = (NONE | _LabelNumber() | SequenceOf(_LabelNumber())).called(
    "None, the value of a missing label, e.g. -1 or NaN, or several such numbers"
)


def check_batch(img: Any, label: Any) -> int:
    """Check that images and labels belong to one batch, and return its number of samples."""
    for name, value in (("images", img), ("labels", label)):
        if not isinstance(value, torch.Tensor | np.ndarray) or value.ndim == 0:
            what = "a single number" if isinstance(value, torch.Tensor | np.ndarray) else type(value).__name__
            raise TypeError(f"{name} must be a tensor or array of a whole batch, got {what}.")
    if img.ndim < 2 or len(img) != len(label):
        raise ValueError(
            f"expected images (B, C, spatial...) and as many labels, got shapes {tuple(img.shape)} and "
            f"{tuple(label.shape)}."
        )
    if len(img) == 0:
        raise ValueError("the batch is empty, expected images and labels of one sample or more.")
    return len(img)


def ignored_values(ignore_value: float | Sequence[float] | None) -> tuple[float, ...]:
    """The values of an argument ``ignore_value``: none, one or several, NaN among them."""
    return () if ignore_value is None else tuple(np.atleast_1d(ignore_value).tolist())


def is_missing(label: torch.Tensor, ignored: tuple[float, ...]) -> torch.Tensor:
    """Which labels are missing, that is, have one of the ignored values: boolean, of the labels' shape."""
    missing = torch.zeros(label.shape, dtype=torch.bool, device=label.device)
    for value in ignored:
        if math.isnan(value):
            missing |= label.isnan()
        elif value >= 0 or label.is_signed():  # torch takes -1 for 255 where a label is uint8
            missing |= label == value
    return missing


def refuse_labels(bad: torch.Tensor, label: torch.Tensor, why: str) -> None:
    """Raise an error that names the first of the bad labels and its place in the batch.

    Args:
        bad: boolean, shape (B,) or (B, K).
        label: of the same shape.
        why: what is wrong with them, as the end of a sentence about one label.

    Raises:
        ValueError: when there is a bad label.
    """
    if not bool(bad.any()):
        return
    index = bad.nonzero()[0].tolist()
    value, others = label[tuple(index)].item(), int(bad.sum()) - 1
    place = f"sample {index[0]}" + "".join(f", class {k}" for k in index[1:])
    more = f" (and {others} more like it)" if others else ""
    raise ValueError(
        f"the label {value:g} of {place} of the batch{more} {why}. Correct it, or if it stands for a missing or "
        f"uncertain label, leave it out with ignore_value={_code(value)}."
    )


def label_rows(label: NdarrayOrTensor, num_classes: int | None, ignored: tuple[float, ...] = ()) -> torch.Tensor:
    """Labels as rows (B, K), floating-point: class indices as one-hot rows, all others as they are, missing ones NaN.

    Args:
        label: class indices (B,) or (B, 1), or rows (B, K) of values in [0, 1].
        num_classes: K, for class indices; 1 for one logit.
        ignored: values of missing labels.

    Raises:
        ValueError: when labels have another shape or type, or are neither missing nor classes or values in [0, 1].
    """
    rows = convert_to_tensor(native(label), track_meta=False)
    is_column = rows.ndim == 2 and rows.shape[1] == 1 and not rows.is_floating_point()
    are_indices = rows.ndim == 1 or (is_column and num_classes != 1)
    if are_indices and num_classes == 1:
        rows = rows[:, None]
    elif are_indices and len(rows) > 0:
        if num_classes is None or rows.is_floating_point():
            raise ValueError(
                f"labels of shape {tuple(rows.shape)} and {rows.dtype} cannot become rows of one value for each class: "
                "give integer class indices and num_classes (1 for one logit), or one-hot, multi-hot or soft rows."
            )
        return _one_hot(rows.reshape(-1), num_classes, ignored)
    if rows.ndim != 2 or len(rows) == 0 or (num_classes or rows.shape[1]) != rows.shape[1]:
        wanted = "(B,) or (B, K)" if num_classes is None else f"(B,) or (B, {num_classes})"
        raise ValueError(f"expected labels of shape {wanted}, got {tuple(rows.shape)}.")
    missing, rows = is_missing(rows, ignored), rows if rows.is_floating_point() else rows.float()
    refuse_labels(~((rows >= 0) & (rows <= 1)) & ~missing, rows, "does not lie in [0, 1]")
    return rows.masked_fill(missing, torch.nan)


def _one_hot(index: torch.Tensor, num_classes: int, ignored: tuple[float, ...]) -> torch.Tensor:
    missing, index = is_missing(index, ignored), index.long()
    no_class = (index < 0) | (index >= num_classes)
    refuse_labels(no_class & ~missing, index, f"is none of the {num_classes} classes, 0 to {num_classes - 1}")
    rows = torch.nn.functional.one_hot(index.masked_fill(missing, 0), num_classes).float()
    return rows.masked_fill(missing[:, None], torch.nan)


def _code(value: float) -> str:
    return "float('nan')" if math.isnan(value) else f"{value:g}"
