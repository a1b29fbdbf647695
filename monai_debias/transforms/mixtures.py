# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Mixtures of the rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch

__all__ = ["Mixture", "mix_known_rows", "mix_rows"]


class Mixture(NamedTuple):
    """Which state is mixed and how: row i with the share λ = ``weight``, row ``order[i]`` with the rest."""

    layer: str
    weight: float
    order: np.ndarray


def mix_rows(rows: torch.Tensor, mixture: Mixture) -> torch.Tensor:
    """λ·x + (1 − λ)·x[π] for rows x of shape (B, ...)."""
    return mixture.weight * rows + (1 - mixture.weight) * _partners(rows, mixture)


def mix_known_rows(rows: torch.Tensor, mixtures: Sequence[Mixture], append: bool) -> torch.Tensor:
    """Mix rows of labels or weights once for each state, with NaN where one is missing.

    Args:
        rows: shape (B, ...), floating-point.
        mixtures: of the states, in the order in which the network computes them.
        append: whether the mixed rows of each state follow the un-mixed ones, or take their place.

    Returns:
        Shape (B', ...): B rows, or with ``append`` B more for each state.
    """
    if append:
        return torch.cat([rows, *(_mixed(rows, mixture) for mixture in mixtures)])
    return reduce(_mixed, mixtures, rows)  # each state is mixed from what the one before has become


def _mixed(rows: torch.Tensor, mixture: Mixture) -> torch.Tensor:
    """λ·y + (1 − λ)·y[π], where a row with the share 0 may be missing."""
    if mixture.weight == 1:
        return rows
    if mixture.weight == 0:
        return _partners(rows, mixture)
    return mix_rows(rows, mixture)


def _partners(rows: torch.Tensor, mixture: Mixture) -> torch.Tensor:
    return rows[torch.as_tensor(mixture.order).to(rows.device, non_blocking=True)]
