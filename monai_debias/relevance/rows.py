# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Gradients of a batch of which only some samples are explained.

A backward pass wants gradients of the shape of the tensors that it passes, and so would carry zeros for every sample
that is not explained. :class:`RowsGradient` has that shape, but holds only the rows that are not zero. What torch does
to gradients between two relevance rules (sums, slices, views, pools) it does to these rows; before any other operation
it becomes an ordinary tensor, so that results never depend on what is listed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import Function

__all__ = ["RowsGradient", "embed_rows", "take_rows"]


class RowsGradient(torch.Tensor):
    """A tensor that is 0 except in some rows.

    Args:
        part: these rows, (R, ...).
        rows: their indices, int64 of shape (R,).
        size: how many rows there are.
    """

    part: torch.Tensor
    rows: torch.Tensor

    @staticmethod
    def __new__(cls, part: torch.Tensor, rows: torch.Tensor, size: int) -> RowsGradient:
        """Make a tensor of the full shape without memory of its own."""
        shape = (size, *part.shape[1:])
        gradient = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=part.dtype, device=part.device)
        gradient.part, gradient.rows = part, rows
        return gradient

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        """Do to the rows what is to be done to the tensor, or make it an ordinary one."""
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        first = next(a for a in _flat(args) if isinstance(a, cls))
        if name in ("add", "add_") and not _same_rows(first, args):
            other, alpha = next((a for a in args if a is not first), None), kwargs.get("alpha", 1)
            if type(other) is torch.Tensor and other.shape == first.shape and alpha == 1:
                total = other if name == "add_" and other is args[0] else other.clone()
                return total.index_add_(0, first.rows, first.part)
        if name in _ROW_BY_ROW and _ROW_BY_ROW[name](first, args):
            n, size = len(first.part), len(first)

            def row_wise(value: Any) -> Any:
                if isinstance(value, cls):
                    return value.part
                if isinstance(value, torch.Tensor):
                    return value[first.rows] if value.ndim == first.ndim and len(value) == size else value
                if isinstance(value, list | tuple) and value and isinstance(value[0], torch.Tensor):
                    return [row_wise(v) for v in value]
                is_shape = isinstance(value, list | tuple | torch.Size) and name in _TAKES_SHAPE
                return [n, *value[1:]] if is_shape and value[0] == size else value

            result = function(*map(row_wise, args), **kwargs)
            if isinstance(result, torch.Tensor):
                return cls(result, first.rows, size)
            return [cls(part, first.rows, size) for part in result]
        return function(*_dense(args), **_dense(kwargs))

    def dense(self) -> torch.Tensor:
        """The ordinary tensor of the same values."""
        return self.part.new_zeros(self.shape).index_copy_(0, self.rows, self.part)


def _same_rows(first: RowsGradient, args: tuple) -> bool:
    """All tensors among the arguments have rows, the same ones."""
    tensors = [a for a in _flat(args) if isinstance(a, torch.Tensor)]
    return all(isinstance(t, RowsGradient) and t.rows is first.rows for t in tensors)


def _leads(first: RowsGradient, args: tuple) -> bool:
    """The first argument has rows, and any other tensor goes with it sample by sample or is the same for all."""
    others = [a for a in _flat(args[1:]) if isinstance(a, torch.Tensor)]
    return args[0] is first and not any(isinstance(t, RowsGradient) for t in others)


def _scales(first: RowsGradient, args: tuple) -> bool:
    """A product with a number, or a tensor that goes with the samples or is the same for all."""
    others = [a for a in args if a is not first]
    return all(not isinstance(a, torch.Tensor) or (type(a) is torch.Tensor and a.ndim <= first.ndim) for a in others)


def _keeps_batch(first: RowsGradient, args: tuple) -> bool:
    """A new shape that begins with the batch."""
    return len(args[1]) > 0 and args[1][0] == len(first)


def _not_first(position: int) -> Callable[[RowsGradient, tuple], bool]:
    """The dimensions at a position of the arguments do not include the batch."""

    def check(first: RowsGradient, args: tuple) -> bool:
        given = args[position] if len(args) > position else 0
        dims = [given] if isinstance(given, int) else list(given or [0])
        return all(d % first.ndim != 0 for d in dims)

    return check


def _joins_channels(first: RowsGradient, args: tuple) -> bool:
    return _not_first(1)(first, args) and _same_rows(first, args)


_ROW_BY_ROW: dict[str, Callable[[RowsGradient, tuple], bool]] = {
    "_adaptive_avg_pool2d_backward": _leads,
    "_adaptive_avg_pool3d_backward": _leads,
    "_unsafe_view": _keeps_batch,
    "add": _same_rows,
    "avg_pool2d": _leads,
    "avg_pool2d_backward": _leads,
    "avg_pool3d": _leads,
    "avg_pool3d_backward": _leads,
    "cat": _joins_channels,
    "clone": _leads,
    "detach": _leads,
    "div": _leads,
    "expand": _keeps_batch,
    "gather": _not_first(1),
    "max_pool2d_with_indices_backward": _leads,
    "max_pool3d_with_indices_backward": _leads,
    "mean": _not_first(1),
    "mul": _scales,
    "native_dropout_backward": _leads,
    "neg": _leads,
    "slice": _not_first(1),
    "split_with_sizes": _not_first(2),
    "squeeze": _not_first(1),
    "sum": _not_first(1),
    "threshold_backward": _leads,
    "unsqueeze": _not_first(1),
    "view": _keeps_batch,
}
_TAKES_SHAPE = {"_unsafe_view", "expand", "view"}


def _flat(values: Any) -> list[Any]:
    return [v for value in values for v in (_flat(value) if isinstance(value, list | tuple) else [value])]


def _dense(values: Any) -> Any:
    if isinstance(values, RowsGradient):
        return values.dense()
    if isinstance(values, dict):
        return {key: _dense(value) for key, value in values.items()}
    return type(values)(_dense(value) for value in values) if type(values) in (list, tuple) else values


class _Take(Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        ctx.rows, ctx.size = rows, len(values)
        return values.part.view_as(values.part) if isinstance(values, RowsGradient) else values[rows]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Embed.apply(grad, ctx.rows, ctx.size), None


class _Embed(Function):
    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, rows: torch.Tensor, size: int) -> torch.Tensor:
        ctx.rows = rows
        return RowsGradient(part, rows, size)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Take.apply(grad, ctx.rows), None, None


def take_rows(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The given rows of a tensor, (R, ...); the gradient of this is a :class:`RowsGradient`."""
    return _Take.apply(values, rows)


def embed_rows(part: torch.Tensor, rows: torch.Tensor, size: int) -> torch.Tensor:
    """A tensor of ``size`` rows that is 0 except in the given ones, as a :class:`RowsGradient`."""
    return _Embed.apply(part, rows, size)
