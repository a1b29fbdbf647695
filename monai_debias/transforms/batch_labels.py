# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels of a whole batch, in every form that classification has, as rows that can be mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor

__all__ = ["check_batch", "label_rows"]


def check_batch(img: Any, label: Any) -> int:
    """Number of samples of a batch."""
    for name, value in (("images", img), ("labels", label)):
        if not isinstance(value, torch.Tensor | np.ndarray) or value.ndim == 0:
            what = "a single number" if isinstance(value, torch.Tensor | np.ndarray) else type(value).__name__
            raise TypeError(f"{name} must be a tensor or array of a whole batch, got {what}.")
    if img.ndim < 2 or len(img) != len(label):
        raise ValueError(
            f"expected images (B, C, spatial...) and as many labels, got shapes {tuple(img.shape)} and "
            f"{tuple(label.shape)}."
        )
    return len(img)


def label_rows(label: NdarrayOrTensor, num_classes: int | None) -> torch.Tensor:
    """Labels as rows (B, K), floating-point: class indices as one-hot rows, all others as they are."""
    rows = convert_to_tensor(label, track_meta=False)
    is_column = rows.ndim == 2 and rows.shape[1] == 1 and not rows.is_floating_point()
    are_indices = rows.ndim == 1 or (is_column and num_classes != 1)
    if are_indices and num_classes == 1:
        rows = rows[:, None]
    elif are_indices:
        if num_classes is None or rows.is_floating_point():
            raise ValueError(
                f"labels of shape {tuple(rows.shape)} and {rows.dtype} are mixed as rows of one value for each class: "
                "give integer class indices and num_classes (1 for one logit), or one-hot, multi-hot or soft rows."
            )
        rows = rows.reshape(-1).long()
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < num_classes:
            raise ValueError(f"labels reach from {rows.min()} to {rows.max()}, expected 0 to {num_classes - 1}.")
        rows = torch.nn.functional.one_hot(rows, num_classes)
    if rows.ndim != 2 or len(rows) == 0 or (num_classes or rows.shape[1]) != rows.shape[1]:
        wanted = "(B,) or (B, K)" if num_classes is None else f"(B,) or (B, {num_classes})"
        raise ValueError(f"expected labels of shape {wanted}, got {tuple(rows.shape)}.")
    rows = rows if rows.is_floating_point() else rows.float()
    if not bool(((rows >= 0) & (rows <= 1)).all()):
        raise ValueError(f"labels must lie in [0, 1], got {rows.min().item():g} to {rows.max().item():g}.")
    return rows
