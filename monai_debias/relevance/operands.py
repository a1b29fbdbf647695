# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The tensors among the arguments of an operation, and operations that are Python functions of others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

from monai_debias.relevance.operations import SQUARES

__all__ = [
    "broadcast",
    "is_composed",
    "is_square",
    "low_precision",
    "replaced",
    "shares_storage",
    "takes",
    "tensors_in",
    "widened",
    "without_override",
]

_OVERRIDES = {"has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"}
_NESTS = (tuple, list, dict)
_LOW_PRECISION = (torch.float16, torch.bfloat16)


def is_square(name: str, args: tuple) -> bool:
    """Whether an operation squares its argument."""
    if name in ("mul", "multiply"):
        return len(args) == 2 and args[0] is args[1]
    return name in SQUARES or (name == "pow" and len(args) == 2 and isinstance(args[1], int | float) and args[1] == 2)


def is_composed(function: Callable) -> bool:
    """Whether an operation is a Python function of other operations."""
    return isinstance(function, FunctionType) and bool(_OVERRIDES & {*function.__code__.co_names})


def without_override(function: Callable) -> Callable:
    """The same Python function, without the lines that would hand the call to the mode as a whole."""
    names = {**function.__globals__, **dict.fromkeys(_OVERRIDES, lambda *_: False)}
    twin = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def takes(function: Callable, *args: Any, **kwargs: Any) -> bool:
    """Whether a function can be called with such arguments."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def broadcast(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Tensors expanded to their common shape."""
    shape = torch.broadcast_shapes(*[t.shape for t in tensors])
    return tuple(t.expand(shape) for t in tensors)


def low_precision(tensor: torch.Tensor) -> bool:
    """Whether a tensor is of a type that is too coarse for relevance."""
    return tensor.dtype in _LOW_PRECISION


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in at least single precision."""
    return tensor.float() if low_precision(tensor) else tensor


def shares_storage(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors see the same memory."""
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def tensors_in(values: Any) -> list[torch.Tensor]:
    """The tensors in tuples, lists and dictionaries."""
    found: list[torch.Tensor] = []
    for value in values.values() if isinstance(values, dict) else values if isinstance(values, _NESTS) else (values,):
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, _NESTS):
            found += tensors_in(value)
    return found


def replaced(values: Any, replacement: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same values with every tensor in tuples, lists and dictionaries replaced."""
    if isinstance(values, torch.Tensor):
        return replacement(values)
    if isinstance(values, dict):
        return {key: replaced(value, replacement) for key, value in values.items()}
    if type(values) in (tuple, list):
        return type(values)(replaced(value, replacement) for value in values)
    return values
