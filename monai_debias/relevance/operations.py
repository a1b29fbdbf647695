# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which operation of torch is what, for relevance: by its name without underscores (``relu_`` is ``relu``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

__all__ = [
    "ACTIVATIONS",
    "CONVOLUTIONS",
    "GATES",
    "LINEAR",
    "NEGATING",
    "PRODUCTS",
    "bare_name",
    "in_place",
    "keeps_batch",
]

# element-wise f with f(0) = 0, in the form that does not change its input
ACTIVATIONS: dict[str, Callable] = {
    "celu": F.celu,
    "elu": F.elu,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "mish": F.mish,
    "prelu": F.prelu,
    "relu": F.relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "silu": F.silu,
    "softsign": F.softsign,
    "tanh": F.tanh,
}

# their results are constants of a relevance pass: squeeze-excitation gates, attention weights
GATES = frozenset({"hardsigmoid", "sigmoid", "softmax"})

# one operand must be a constant of the relevance pass (a gate, a parameter), else the product is a gate's raw material
PRODUCTS = frozenset({"mul", "matmul", "bmm", "mm", "einsum", "baddbmm", "multiply"})

CONVOLUTIONS = {
    "conv1d": 1,
    "conv2d": 2,
    "conv3d": 3,
    "conv_transpose1d": 1,
    "conv_transpose2d": 2,
    "conv_transpose3d": 3,
}

# linear in what depends on the network's input (max pooling: given the winner): their own gradient is the rule
_LINEAR = {
    "shapes and selections": (
        "as_strided atleast_1d atleast_2d atleast_3d broadcast_to channel_shuffle chunk contiguous diagonal "
        "expand expand_as flatten flip fold gather get getitem index_select moveaxis movedim narrow permute "
        "pixel_shuffle pixel_unshuffle repeat repeat_interleave reshape reshape_as roll select split "
        "split_with_sizes squeeze swapaxes swapdims t tensor_split tile transpose unbind unflatten unfold "
        "unsqueeze view view_as"
    ),
    "copies": "clone copy cpu cuda double float setitem to type type_as",
    "joins": "cat concat concatenate dstack hstack masked_fill pad stack vstack where",
    "sums": "add cumsum mean neg rsub sub subtract sum",
    "divisions": "div divide true_divide truediv",
    "pools": (
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
        "adaptive_max_pool3d amax avg_pool1d avg_pool2d avg_pool3d interpolate max_pool1d max_pool2d max_pool3d "
        "upsample"
    ),
    "dropout": "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout feature_dropout",
}
LINEAR = frozenset(" ".join(_LINEAR.values()).split())

# linear, but with a minus sign: no positive companion comes out of them
NEGATING = frozenset({"neg", "rsub", "sub", "subtract"})

_IN_PLACE_OPERATORS = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}
_OPERATORS = {**_IN_PLACE_OPERATORS, "radd": "add", "rmul": "mul"}


def bare_name(function: Callable) -> str:
    """The name by which an operation is looked up.

    Example:
        >>> import torch
        >>> bare_name(torch.Tensor.relu_), bare_name(torch.Tensor.__iadd__), bare_name(torch.nn.functional.conv2d)
        ('relu', 'add', 'conv2d')
    """
    name = getattr(function, "__name__", type(function).__name__).strip("_")
    return _OPERATORS.get(name, name)


def in_place(function: Callable) -> bool:
    """Whether an operation changes its first argument, by its name (an argument ``inplace`` is not seen).

    Example:
        >>> import torch
        >>> [in_place(f) for f in (torch.Tensor.add_, torch.Tensor.__iadd__, torch.Tensor.__add__, torch.add)]
        [True, True, False, False]
    """
    name = getattr(function, "__name__", "")
    if name.startswith("__"):
        return name.strip("_") in (*_IN_PLACE_OPERATORS, "setitem")
    return name.endswith("_")


def keeps_batch(name: str, args: tuple, kwargs: dict[str, Any], result: torch.Tensor, batch_size: int) -> bool:
    """Whether the samples stay in the first dimension of an operation in :data:`LINEAR`; if in doubt it is False.

    Example:
        >>> import torch
        >>> tokens = torch.zeros(2, 3, 2)
        >>> [keeps_batch("transpose", (tokens, *dims), {}, tokens.transpose(*dims), 2) for dims in ((1, 2), (0, 2))]
        [True, False]
    """
    if result.ndim == 0 or len(result) != batch_size:
        return False
    if name in (
        "flip",
        "repeat_interleave",
        "roll",
        "unfold",
        "gather",
        "get",
        "index_select",
        "stack",
        "unbind",
        "where",
    ):
        return False
    x, *others = args
    if name in (
        "amax",
        "cumsum",
        "mean",
        "movedim",
        "moveaxis",
        "narrow",
        "select",
        "sum",
        "swapaxes",
        "swapdims",
        "transpose",
    ):
        dims = [d for v in (*others, *kwargs.values()) for d in (v if isinstance(v, tuple | list) else [v])]
        numbers = [d for d in dims if isinstance(d, int) and not isinstance(d, bool)]
        return bool(numbers) and all(d % x.ndim != 0 for d in numbers)
    if name == "permute":
        order = others[0] if others and isinstance(others[0], tuple | list) else others
        return bool(order) and order[0] == 0
    if name == "getitem":
        first = others[0][0] if isinstance(others[0], tuple) and others[0] else others[0]
        return isinstance(first, slice) and first == slice(None)
    return True
