# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Two ways back through one graph: the ordinary backward pass, and relevance passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeAlias

import torch
from torch.autograd import Function

from monai_debias.relevance.rows import embed_rows, take_rows

__all__ = ["Backward", "Passes", "Rule", "before_change", "fork"]

Formula: TypeAlias = Callable[..., Any]


class Backward(Enum):
    """What a backward pass is."""

    ORDINARY = "ordinary"
    EPSILON = "epsilon"
    POSITIVE = "positive"


class Passes:
    """The state of one forward pass and of the backward passes through its graph.

    Args:
        epsilon: ε of the rules.
        positive: whether the forward pass prepares a positive pass (LRP-z⁺) beside the ε pass.
        rows: indices of the samples whose relevance is asked for, shape (R,), None for all. For the others a relevance
            pass computes nothing.
        batch_size: number of samples in the batch.
    """

    def __init__(
        self, epsilon: float, positive: bool = False, rows: torch.Tensor | None = None, batch_size: int = 0
    ) -> None:
        self.epsilon, self.positive, self.rows, self.batch_size = epsilon, positive, rows, batch_size
        self.backward = Backward.ORDINARY

    @contextmanager
    def explaining(self, backward: Backward) -> Iterator[None]:
        """Backward passes inside are relevance passes."""
        self.backward = backward
        try:
            yield
        finally:
            self.backward = Backward.ORDINARY


class Rule:
    """What an operation does to the gradient in either relevance pass, given the tensors that it saved.

    Args:
        epsilon: the ε pass, a function of the gradient and the saved tensors that returns the gradient of the input, or
            a tuple of those of several inputs; None means no gradient.
        positive: the positive pass, likewise.
        per_sample: which of the saved tensors have the batch as their first dimension.
    """

    def __init__(self, epsilon: Formula, positive: Formula, per_sample: Sequence[bool]) -> None:
        self.formulas = {Backward.EPSILON: epsilon, Backward.POSITIVE: positive}
        self.per_sample = per_sample

    def apply(self, passes: Passes, g: torch.Tensor, saved: Sequence[torch.Tensor | None]) -> Any:
        """The gradient of the input or inputs, by the rule of the pass that runs."""
        formula, rows = self.formulas[passes.backward], passes.rows
        if rows is None or len(g) != passes.batch_size or not self.per_sample:
            return formula(g, *saved)
        chosen = [
            take_rows(s, rows) if per_sample and s is not None else s
            for s, per_sample in zip(saved, self.per_sample, strict=True)
        ]
        return embed_rows(formula(take_rows(g, rows), *chosen), rows, passes.batch_size)


class _Fork(Function):
    """The result of an operation with two ways back: its own derivative, and a relevance rule."""

    @staticmethod
    def forward(
        ctx: Any, passes: Passes, rule: Rule, n_inputs: int, result: torch.Tensor, *tensors: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.passes, ctx.rule, ctx.n_inputs, ctx.n_saved = passes, rule, n_inputs, len(tensors) - n_inputs
        ctx.save_for_backward(*tensors[n_inputs:])
        ctx.set_materialize_grads(False)
        return result.detach()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        own, by_rule = None, None
        if g is not None and ctx.passes.backward is Backward.ORDINARY:
            own = g
        elif g is not None:
            by_rule = ctx.rule.apply(ctx.passes, g, ctx.saved_tensors)
        of_inputs = by_rule if isinstance(by_rule, tuple) else (by_rule,) * ctx.n_inputs
        return None, None, None, own, *of_inputs, *[None] * ctx.n_saved


def fork(
    passes: Passes,
    rule: Rule,
    result: torch.Tensor,
    inputs: Sequence[torch.Tensor],
    saved: Sequence[torch.Tensor | None] = (),
) -> torch.Tensor:
    """Give the result of an operation a second way back.

    Args:
        passes: the state that tells which way a backward pass takes.
        rule: the second way.
        result: what the operation computed, with its own graph.
        inputs: the operation's inputs for which the rule gives a gradient.
        saved: tensors that the rule needs; released together with the graph.

    Returns:
        The result, in the same memory.
    """
    return _Fork.apply(passes, rule, len(inputs), result, *inputs, *saved)


class _BeforeChange(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.detach()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return g


def before_change(x: torch.Tensor) -> torch.Tensor:
    """What stands for ``x`` in the graph after an operation has changed its memory; its values are not to be used."""
    return _BeforeChange.apply(x)
