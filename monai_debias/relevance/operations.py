# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which operation of torch is what, for relevance: by its name without underscores (``relu_`` is ``relu``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F  # noqa: N812

__all__ = [
    "ACTIVATIONS",
    "BOOKKEEPING",
    "BORROWING",
    "CHANGING_STATISTICS",
    "CONVOLUTIONS",
    "COVERED",
    "DEVIATIONS",
    "DIVISIONS",
    "GATES",
    "GATING",
    "JOINING",
    "KEEPS_SQUARES",
    "LEAVING",
    "LINEAR",
    "MAXIMA",
    "NEGATING",
    "POWERS",
    "PRODUCTS",
    "SQUARES",
    "bare_name",
    "flowing_factors",
    "gives_shape",
    "in_place",
    "may_stand_beside",
]

# element-wise f with f(0) = 0, in the form that does not change its input
ACTIVATIONS: dict[str, Callable] = {
    "abs": torch.abs,
    "celu": F.celu,
    "clamp": torch.clamp,
    "clamp_min": torch.clamp_min,
    "clip": torch.clip,
    "elu": F.elu,
    "gelu": F.gelu,
    "hardshrink": F.hardshrink,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "mish": F.mish,
    "prelu": F.prelu,
    "relu": F.relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "silu": F.silu,
    "softshrink": F.softshrink,
    "softsign": F.softsign,
    "tanh": F.tanh,
}

# the output of these may be a gate of something linear: SwiGLU, GEGLU, a hard sigmoid made of ReLU6
GATING = frozenset({"gelu", "hardswish", "hardtanh", "mish", "relu6", "silu", "tanh"})

# their results are constants of a relevance pass: squeeze-excitation gates and attention weights, the erf in a GELU
# that is written by hand, and denominators
GATES = frozenset({"erf", "hardsigmoid", "sigmoid", "softmax", "special_erf", "special_expit", "special_softmax"})
DEVIATIONS = frozenset({"frobenius_norm", "linalg_norm", "linalg_vector_norm", "norm", "std", "vector_norm"})

# the root of what the operations in KEEPS_SQUARES make of squares is a deviation too
SQUARES = frozenset({"square", "var"})
POWERS = frozenset({"pow", "rsqrt", "sqrt"})

# a later argument gives only its shape or type; where no argument gives anything else, see gives_shape
BORROWING = frozenset({"expand_as", "reshape_as", "to", "type_as", "view_as"})

# these change the running statistics, which are among their arguments
CHANGING_STATISTICS = frozenset({"batch_norm", "instance_norm"})

# these leave the tensor as it is: hooks of its gradient, and what modules with hooks and DistributedDataParallel put
# around arguments and results
BOOKKEEPING = frozenset({"BackwardHookFunction", "DDPSink", "register_hook", "retain_grad"})

# these take values out of torch's sight; by their whole names
LEAVING = frozenset({"__array__", "__complex__", "__dlpack__", "__float__", "__int__", "item", "numpy", "tolist"})

# groups of arguments, of which one group may carry relevance, if the other is constant (a gate, a parameter)
_FACTORS: dict[str, tuple[tuple[int, ...], ...]] = {
    **dict.fromkeys(["bmm", "dot", "inner", "matmul", "mm", "mul", "multiply", "mv", "tensordot"], ((0,), (1,))),
    **dict.fromkeys(["addbmm", "addcmul", "addmm", "addmv", "baddbmm"], ((1,), (2,))),
    "grid_sample": ((0,), (1,)),
    "lerp": ((0, 1), (2,)),
}
PRODUCTS = frozenset({*_FACTORS, "einsum"})
DIVISIONS = frozenset({"div", "divide", "true_divide", "truediv"})

# relevance may flow through several of their arguments, for each of which their rule is
JOINING = frozenset({"cat", "concat", "concatenate", "scaled_dot_product_attention"})

CONVOLUTIONS = {
    "conv1d": 1,
    "conv2d": 2,
    "conv3d": 3,
    "conv_transpose1d": 1,
    "conv_transpose2d": 2,
    "conv_transpose3d": 3,
}

# the arguments in which a gate, an index or a mask may stand beside what relevance flows through
_BESIDE: dict[str, tuple[int, ...]] = {
    **{name: tuple(i for group in groups for i in group) for name, groups in _FACTORS.items()},
    **dict.fromkeys([*DIVISIONS, *CONVOLUTIONS, "linear", "getitem", "setitem", "repeat_interleave"], (1,)),
    **dict.fromkeys(["masked_fill", "masked_scatter", "masked_select", "take", "take_along_dim"], (1,)),
    **dict.fromkeys(["max_unpool1d", "max_unpool2d", "max_unpool3d"], (1,)),
    **dict.fromkeys(["gather", "index_add", "index_select", "lerp", "scatter", "scatter_add", "scatter_reduce"], (2,)),
    "einsum": tuple(range(20)),
    "scaled_dot_product_attention": (0, 1, 3),
    "where": (0,),
}
_BESIDE_BY_NAME = frozenset({"condition", "grid", "index", "indices", "mask", "mat2", "other", "repeats", "weight"})

# linear in what depends on the network's input (maxima and sorting: for a given order): their gradient is the rule
_LINEAR = {
    "shapes and selections": (
        "H T adjoint as_strided as_tensor asarray atleast_1d atleast_2d atleast_3d broadcast_to channel_shuffle chunk "
        "contiguous diagonal dsplit expand expand_as flatten flip fliplr flipud fold gather getitem hsplit "
        "index_select mH mT masked_select moveaxis movedim narrow permute pixel_shuffle pixel_unshuffle ravel repeat "
        "repeat_interleave requires_grad reshape reshape_as roll rot90 select split split_with_sizes squeeze "
        "squeeze_copy swapaxes swapdims t take take_along_dim tensor_split tile transpose tril triu unbind unflatten "
        "unfold unsqueeze view view_as vsplit"
    ),
    "copies": (
        "bfloat16 clone copy cpu cuda double float half index_add masked_scatter max_unpool1d max_unpool2d "
        "max_unpool3d scatter scatter_add scatter_reduce setitem to type type_as"
    ),
    "joins": "cat column_stack concat concatenate dstack hstack masked_fill pad row_stack stack vstack where",
    "sums": "add cumsum mean neg positive rsub sub subtract sum",
    "divisions": " ".join(DIVISIONS),
    "maxima": (
        "adaptive_max_pool1d adaptive_max_pool1d_with_indices adaptive_max_pool2d adaptive_max_pool2d_with_indices "
        "adaptive_max_pool3d adaptive_max_pool3d_with_indices amax amin cummax cummin kthvalue max max_pool1d "
        "max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices median min "
        "msort sort topk"
    ),
    "pools": (
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d avg_pool1d avg_pool2d avg_pool3d interpolate "
        "upsample"
    ),
    "dropout": "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout feature_dropout",
}
LINEAR = frozenset(" ".join(_LINEAR.values()).split())
MAXIMA = frozenset(_LINEAR["maxima"].split())  # they choose by the values

COVERED = LINEAR | PRODUCTS

# linear, but with a minus sign: no positive companion comes out of them
NEGATING = frozenset({"neg", "rsub", "sub", "subtract"})

# what these make of a sum of squares still is one, and what they make of a gate still is a gate
KEEPS_SQUARES = frozenset(
    " ".join(
        [
            *(_LINEAR[kind] for kind in ("shapes and selections", "pools", "divisions")),
            "add clamp clamp_min clone float mean mul multiply pad sub sum to",
        ]
    ).split()
)

_IN_PLACE_OPERATORS = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}
_OPERATORS = {**_IN_PLACE_OPERATORS, "radd": "add", "rmul": "mul"}


def bare_name(function: Callable) -> str:
    """The name by which an operation is looked up.

    Example:
        >>> import torch
        >>> bare_name(torch.Tensor.relu_), bare_name(torch.Tensor.__iadd__), bare_name(torch.Tensor.mT.__get__)
        ('relu', 'add', 'mT')
    """
    name = getattr(function, "__name__", type(function).__name__)
    if name in ("__get__", "__set__"):  # an attribute
        name = getattr(getattr(function, "__self__", None), "__name__", name)
    name = name.strip("_")
    return _OPERATORS.get(name, name)


def gives_shape(name: str) -> bool:
    """Whether the result of an operation depends on no value of a tensor, but on shapes and types alone.

    Example:
        >>> [gives_shape(name) for name in ("zeros_like", "new_empty", "new_tensor", "clone")]
        [True, True, False, False]
    """
    return name.endswith("_like") or (name.startswith("new_") and name != "new_tensor")


def may_stand_beside(name: str, where: int | str) -> bool:
    """Whether a constant of the relevance pass may be that argument of an operation, beside one that relevance reaches.

    It may be a factor, a denominator, a mask or an index; where it is added its own relevance would be lost.

    Example:
        >>> [may_stand_beside(*argument) for argument in (("mul", 0), ("div", 1), ("add", 1), ("getitem", 1))]
        [True, True, False, True]
    """
    return where in _BESIDE.get(name, ()) if isinstance(where, int) else name in _BESIDE and where in _BESIDE_BY_NAME


def flowing_factors(name: str, flows: Sequence[bool]) -> int:
    """How many factors of an operation in :data:`PRODUCTS` carry relevance, given which of its arguments do.

    Example:
        >>> flowing_factors("lerp", [True, True, False]), flowing_factors("addmm", [True, True, True])
        (1, 2)
    """
    groups = _FACTORS.get(name, tuple((i,) for i in range(len(flows))))
    return sum(any(flows[i] for i in group if i < len(flows)) for group in groups)


def in_place(function: Callable) -> bool:
    """Whether an operation changes its first argument, by its name (an argument ``inplace`` is not seen).

    Example:
        >>> import torch
        >>> [in_place(f) for f in (torch.Tensor.add_, torch.Tensor.__iadd__, torch.Tensor.__add__, torch.add)]
        [True, True, False, False]
    """
    name = getattr(function, "__name__", "")
    if name.startswith("__"):
        return name.strip("_") in (*_IN_PLACE_OPERATORS, "set", "setitem")
    return name.endswith("_")
