# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Two ways back through one graph: the ordinary backward pass, and relevance passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any

import torch
from torch.autograd import Function

from monai_debias.relevance.kernels import InFloat32
from monai_debias.relevance.operands import low_precision
from monai_debias.relevance.some_rows import AllRows, SomeRows, Spread, Taken

__all__ = ["Backward", "Passes", "Rule", "before_change", "fork"]


class Backward(Enum):
    """The kinds of a backward pass."""

    ORDINARY = "ordinary"
    EPSILON = "epsilon"
    Z_PLUS = "z_plus"


class Passes:
    """The state of one forward pass and of the backward passes through its graph.

    Args:
        epsilon: ε of the rules.
        rows: indices of the samples whose relevance is asked for, shape (R,), None for all. For the others a relevance
            pass computes nothing.
        batch_size: number of samples in the batch.
        autocast: the type in which autocast runs the forward pass: its tensors, and the gradients of relevance, keep
            the types that autocast gives them. None if it runs without; all are at least of single precision then.
    """

    def __init__(
        self,
        epsilon: float,
        rows: torch.Tensor | None = None,
        batch_size: int = 0,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.epsilon, self.rows, self.batch_size, self.autocast = epsilon, rows, batch_size, autocast
        # gradients of relevance have no scaler around them, and float16 no exponent for one of a large map's positions
        self.scale = 256.0 if autocast == torch.float16 else 1.0
        self.backward = Backward.ORDINARY
        self._zeros: torch.Tensor | None = None

    def zeros(self, n: int, like: torch.Tensor) -> torch.Tensor:
        """Zeros, shape (n,), in at least single precision, of which a pass has one vector for all layers."""
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        kept = self._zeros
        if kept is None or len(kept) < n or kept.dtype != dtype or kept.device != like.device:
            kept = self._zeros = torch.zeros(max(n, 4096), dtype=dtype, device=like.device)
        return kept[:n]

    @contextmanager
    def explaining(self, backward: Backward) -> Iterator[None]:
        """Backward passes inside are relevance passes."""
        self.backward = backward
        try:
            yield
        finally:
            self.backward = Backward.ORDINARY


class Rule:
    """What an operation does to the gradient in a relevance pass, given the tensors that it saved.

    Args:
        formula: a function of the gradient and the saved tensors that returns the gradient of the input, or a tuple of
            those of several inputs; None means no gradient.
        per_sample: which of the saved tensors have the batch as their first dimension; None where the formula takes all
            samples at once, whichever are explained.
        in_float32: whether it is calculated in float32 for a gradient of half precision. Products are not, and kernels
            see to it by themselves.
    """

    def __init__(
        self, formula: Callable[..., Any], per_sample: Sequence[bool] | None, in_float32: bool = False
    ) -> None:
        self.formula, self.per_sample, self.in_float32 = formula, per_sample, in_float32

    def apply(self, passes: Passes, g: torch.Tensor, saved: Sequence[torch.Tensor | None]) -> Any:
        """The gradient of the input or inputs; where only some samples are explained, 0 for the others."""
        rows = passes.rows
        if rows is None or len(g) != passes.batch_size or self.per_sample is None:
            return self._of(AllRows.apply(g) if isinstance(g, SomeRows) else g, saved)
        chosen = [
            Taken.apply(s, rows) if per_sample and s is not None else s
            for s, per_sample in zip(saved, self.per_sample, strict=True)
        ]
        part = self._of(Taken.apply(g, rows), chosen)
        if isinstance(part, tuple):
            return tuple(Spread.apply(p, rows, len(g)) for p in part)
        return Spread.apply(part, rows, len(g))

    def _of(self, g: torch.Tensor, saved: Sequence[torch.Tensor | None]) -> Any:
        if self.in_float32 and low_precision(g):
            return InFloat32.apply(self.formula, g, *saved)
        return self.formula(g, *saved)


class _Fork(Function):
    """The result of an operation with two ways back: its own derivative, and a relevance rule."""

    @staticmethod
    def forward(
        ctx: Any,
        passes: Passes,
        rule: Rule,
        only: Backward | None,
        n_inputs: int,
        result: torch.Tensor,
        *tensors: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.passes, ctx.rule, ctx.only = passes, rule, only
        ctx.n_inputs, ctx.n_saved = n_inputs, len(tensors) - n_inputs
        ctx.save_for_backward(*tensors[n_inputs:])
        ctx.set_materialize_grads(False)
        return result.detach()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        own, by_rule = None, None
        current = ctx.passes.backward
        if g is not None and (current is Backward.ORDINARY or ctx.only not in (None, current)):
            own = g
        elif g is not None:
            by_rule = ctx.rule.apply(ctx.passes, g, ctx.saved_tensors)
        of_inputs = by_rule if isinstance(by_rule, tuple) else (by_rule,) * ctx.n_inputs
        return None, None, None, None, own, *of_inputs, *[None] * ctx.n_saved


def fork(
    passes: Passes,
    rule: Rule,
    result: torch.Tensor,
    inputs: Sequence[torch.Tensor],
    saved: Sequence[torch.Tensor | None] = (),
    only: Backward | None = None,
) -> torch.Tensor:
    """Give the result of an operation a second way back.

    Args:
        passes: the state that says which way a backward pass takes.
        rule: what that way does to the gradient.
        result: what the operation computed, with its own graph.
        inputs: the operation's inputs for which the rule gives a gradient.
        saved: tensors that the rule needs; released together with the graph.
        only: the relevance pass that the rule is for, None for all; others go the result's own way, where there may be
            a rule for them.

    Returns:
        The result, in the same memory.
    """
    return _Fork.apply(passes, rule, only, len(inputs), result, *inputs, *saved)


class _BeforeChange(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.set_materialize_grads(False)  # an ordinary backward pass has none here
        return x.detach()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor | None) -> torch.Tensor | None:
        return g


def before_change(x: torch.Tensor) -> torch.Tensor:
    """What stands for ``x`` in the graph after an operation has changed its memory; its values are not to be used."""
    return _BeforeChange.apply(x)
