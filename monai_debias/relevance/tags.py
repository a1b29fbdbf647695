# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a relevance mode knows of the tensors that pass it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import torch

from monai_debias.relevance import rules

__all__ = ["LinearLayer", "Role", "Stem", "Tag", "UncoveredOperationError", "Uses"]


class UncoveredOperationError(RuntimeError):
    """A network contains an operation that no relevance rule covers."""


@dataclass(eq=False)
class Uses:
    """How many operations take a tensor."""

    count: int = 0


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer, and the normalisation after it: where a tensor comes from.

    Args:
        linear: the layer as a map.
        x: its input, (B, C, spatial...).
        weight: its weight.
        bias: its bias, (C,), or None.
        dtype: type in which it is calculated, that of its result.
        affine: a function that returns factor and summand of the normalisation after it, each (C,); None without one.
    """

    linear: rules.Convolution | rules.Dense
    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    dtype: torch.dtype
    affine: Callable[[], tuple[torch.Tensor, torch.Tensor]] | None = None

    def fused(self) -> LinearLayer:
        """Layer and normalisation in one, whose weight and bias do what both do."""
        if self.affine is None:
            return self
        scale, shift = self.affine()
        bias = shift if self.bias is None else self.bias * scale + shift
        return replace(self, weight=self.linear.scaled(self.weight, scale), bias=bias, affine=None)


class Role(Enum):
    """What a tensor is to relevance."""

    FLOWS = "relevance flows through it"
    CONSTANT = "it does not depend on the input"
    FACTOR = "it depends on the input, but is a constant of the relevance pass: a gate, a deviation, a choice"
    BROKEN = "it depends on the input in a way that no rule covers"


@dataclass(eq=False)
class Tag:
    """What the mode knows of a tensor.

    Args:
        role: what it is to relevance.
        error: why it must not reach the logits, at all if it is broken, other than by a product if it is a factor.
        square: whether it is broken only because it is a sum of squares, whose root would be a deviation.
        activated: whether it is the output of an activation that is used as a gate (SiLU, GELU, ...).
        without_gradient: whether it was made without a gradient.
        layer: the linear layer that it comes from.
        affine: if a normalisation made it, a function that returns the factor and the summand of that, constants of
            the relevance pass that can be broadcast to it.
        uses: how often it is used.
        path: the uses of each tensor from the layer's input to this one.
        has_views: whether another tensor sees its memory.
        captured: whether its values were asked for, so that they must stay as they are.
        batch_first: whether its first dimension is the batch.
    """

    role: Role
    error: UncoveredOperationError | None = None
    square: bool = False
    activated: bool = False
    without_gradient: bool = False
    layer: LinearLayer | None = None
    affine: Callable[[], tuple[torch.Tensor, torch.Tensor]] | None = None
    uses: Uses = field(default_factory=Uses)
    path: tuple[Uses, ...] = ()
    has_views: bool = False
    captured: bool = False
    batch_first: bool = True


@dataclass(frozen=True)
class Stem:
    """The first layer of a network, up to its activation."""

    layer: LinearLayer
    path: tuple[Uses, ...]
    output: torch.Tensor
