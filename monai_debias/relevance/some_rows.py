# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Gradients (B, ...) that are 0 but in some rows, kept as these rows alone.

Where only some samples are explained, a gradient of relevance has as many rows as the tensor that it belongs to, since
torch accepts no other, but most of them are 0. To write and to add these zeros at every operation would take more time
than a rule does. So they are not in memory until an operation asks for all rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import Function
from torch.utils._pytree import tree_map, tree_map_only

__all__ = ["AllRows", "SomeRows", "Spread", "Taken"]

# their tensors all have the samples as their first dimension
_BY_SAMPLE = {
    getattr(torch.ops.aten, name).default
    for name in ("avg_pool2d_backward", "max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward")
}


class SomeRows(torch.Tensor):
    """A tensor (B, ...) that is 0 but in some rows; any operation sees an ordinary tensor.

    Args:
        part: these rows, (R, ...).
        rows: their indices, (R,).
        n: B.
    """

    part: torch.Tensor
    rows: torch.Tensor

    @staticmethod
    def __new__(cls, part: torch.Tensor, rows: torch.Tensor, n: int) -> SomeRows:
        """Without memory of its own."""
        shape = (n, *part.shape[1:])
        made = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=part.dtype, device=part.device)
        made.part, made.rows = part, rows
        return made

    @classmethod
    def __torch_function__(cls, function: Any, _: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Leave what is differentiated as it is, since operations are seen below that."""
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, operation: Any, _: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Add and pool without the zeros; hand everything else an ordinary tensor."""
        if operation is torch.ops.aten.detach.default:
            return cls(args[0].part, args[0].rows, len(args[0]))
        if operation is torch.ops.aten.add.Tensor and not kwargs and args[0].shape == args[1].shape:
            other, some = args if isinstance(args[1], cls) else args[::-1]
            if not isinstance(other, cls):
                return other.index_add(0, some.rows, some.part)
            if other.rows is some.rows:
                return cls(other.part + some.part, some.rows, len(some))
        if operation in _BY_SAMPLE and isinstance(args[0], cls):
            rows = args[0].rows
            part = operation(args[0].part, *tree_map_only(torch.Tensor, lambda t: t.index_select(0, rows), args[1:]))
            return cls(part, rows, len(args[0]))
        return operation(*tree_map(_with_zeros, args), **tree_map(_with_zeros, kwargs or {}))


def _with_zeros(value: Any) -> Any:
    if not isinstance(value, SomeRows):
        return value
    return value.part.new_zeros(value.shape).index_copy_(0, value.rows, value.part)


class Taken(Function):
    """Some rows of a tensor."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Take them; rows are their indices, (R,)."""
        ctx.rows, ctx.n = rows, len(x)
        return x.part.detach() if isinstance(x, SomeRows) and x.rows is rows else x.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient with respect to the tensor, 0 in all other rows."""
        return Spread.apply(grad, ctx.rows, ctx.n), None


class Spread(Function):
    """A tensor that is 0 but in some rows."""

    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, rows: torch.Tensor, n: int) -> torch.Tensor:
        """Make it of these rows, their indices, and the number of all rows."""
        ctx.rows = rows
        return SomeRows(part.detach(), rows, n)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient with respect to the rows."""
        return Taken.apply(grad, ctx.rows), None, None


class AllRows(Function):
    """An ordinary tensor of the same values, made once for an operation that asks for all rows several times."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Write the zeros, if they are not there."""
        return _with_zeros(x) if isinstance(x, SomeRows) else x.detach()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        """The gradient with respect to the tensor."""
        return grad
