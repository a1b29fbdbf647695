# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a relevance mode knows of the tensors that pass it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import torch

from monai_debias.relevance import rules

__all__ = ["Fold", "LinearLayer", "Role", "Stem", "Tag", "UncoveredOperationError"]


class UncoveredOperationError(RuntimeError):
    """A network contains an operation that no relevance rule covers."""


@dataclass(eq=False)
class Fold:
    """How often a tensor is used, and how a normalisation beside it becomes one with its neighbours.

    Args:
        uses: how many operations take the tensor.
        scale: of the normalisation after it, if it comes from a linear layer. The ε pass takes it into the layer's
            weight where this is less work than to multiply the gradient by it; the positive pass always does, since
            there it makes a difference.
        less_work: whether it is less work.
        made_with: if a normalisation made the tensor, its scale.
        elsewhere: if a normalisation made the tensor, whether its scale is taken into the weight before it.
        by_relu: whether a ReLU takes the tensor; if it is all that does, it multiplies by the scale together with its
            own rule in the ε pass.
    """

    uses: int = 0
    scale: torch.Tensor | None = None
    less_work: bool = False
    made_with: torch.Tensor | None = None
    elsewhere: Callable[[], bool] = lambda: False
    by_relu: bool = False

    @property
    def valid(self) -> bool:
        """Whether layer and normalisation may count as one: nothing else uses the layer's output."""
        return self.scale is not None and self.uses == 1

    @property
    def in_relu(self) -> bool:
        """Whether the ReLU multiplies by the scale."""
        return self.made_with is not None and self.by_relu and self.uses == 1 and not self.elsewhere()


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer, and the normalisation after it: where a tensor comes from.

    Args:
        linear: the layer as a map.
        x: its input, (B, C, spatial...).
        weight: its weight.
        bias: its bias, (C,), or None.
        signed: whether ``x`` may be negative.
        scale: of the normalisation after it, (C,), or None.
        shift: likewise.
    """

    linear: rules.Convolution | rules.Dense
    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    signed: bool
    scale: torch.Tensor | None = None
    shift: torch.Tensor | None = None

    def fused(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias of layer and normalisation in one."""
        if self.scale is None or self.shift is None:
            return self.weight, self.bias
        bias = self.shift if self.bias is None else self.bias * self.scale + self.shift
        return self.linear.scaled(self.weight, self.scale), bias

    def positive(self) -> torch.Tensor:
        """What the output would be if nothing negative were added: z⁺."""
        weight, bias = self.fused()
        z = rules.positive_output(self.linear.forward, self.x, weight, self.signed)
        return z if bias is None else z + self.linear.spread(bias.relu(), z)


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
        error: why it must not reach the logits: if it is broken anyhow, if it is a factor other than by a product.
        square: whether it is broken as a sum of squares is, of which a root makes a deviation.
        activated: whether it is the output of an activation that is used as a gate (SiLU, GELU, ...).
        without_gradient: whether it was made without a gradient.
        nonnegative: whether it is known to have no negative value (asked only where a positive pass is prepared).
        layer: the linear layer that it comes from.
        companion: z⁺ where it comes from more than one layer (only where a positive pass is prepared).
        fold: how often it is used, and by which normalisation.
        path: the same for the tensors from the layer's input to this one.
        has_views: whether another tensor sees its memory.
        captured: whether its values are wanted as they are.
        batch_first: whether its first dimension is the batch.
    """

    role: Role
    error: UncoveredOperationError | None = None
    square: bool = False
    activated: bool = False
    without_gradient: bool = False
    nonnegative: bool = False
    layer: LinearLayer | None = None
    companion: torch.Tensor | None = None
    fold: Fold = field(default_factory=Fold)
    path: tuple[Fold, ...] = ()
    has_views: bool = False
    captured: bool = False
    batch_first: bool = True


@dataclass(frozen=True)
class Stem:
    """The first layer of a network, up to its activation."""

    layer: LinearLayer
    path: tuple[Fold, ...]
    output: torch.Tensor
