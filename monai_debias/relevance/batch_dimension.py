# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the samples of a batch are among the dimensions of a tensor, on its way through a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from monai_debias.relevance.operations import DIVISIONS

__all__ = ["keeps_batch"]

_MOVING = (
    "H T addbmm addmm addmv adjoint as_strided column_stack cummax cummin diagonal dot dstack flip flipud gather "
    "index_add index_select inner kthvalue mH mT masked_scatter masked_select max median min mm msort mv ravel "
    "repeat_interleave roll rot90 row_stack scatter scatter_add scatter_reduce sort stack t take take_along_dim "
    "tensordot topk tril triu unbind unfold vsplit vstack where"
)
_MAY_MOVE_THE_BATCH = frozenset(_MOVING.split())
# these leave the batch where it is, unless what has it is broadcast to more dimensions
_ALIGNED_WORDS = (
    "add addcmul broadcast_to copy expand expand_as lerp masked_fill matmul mul multiply repeat rsub sub subtract tile"
)
_ALIGNED = frozenset(_ALIGNED_WORDS.split()) | DIVISIONS
# these leave the batch where it is, unless it is one of the dimensions that they are given
_ALONG = "amax amin cumsum mean movedim moveaxis narrow select sum swapaxes swapdims transpose"
_ALONG_DIMENSIONS = frozenset(_ALONG.split())


def keeps_batch(
    name: str,
    args: tuple,
    kwargs: dict[str, Any],
    flowing: Sequence[torch.Tensor],
    result: torch.Tensor,
    batch_size: int,
) -> bool:
    """Whether the samples stay in the first dimension of an operation in ``LINEAR``; if in doubt it is False.

    Args:
        name: that of the operation.
        args: its arguments.
        kwargs: its named arguments.
        flowing: those of its arguments in whose first dimension the samples are.
        result: what it returned, or changed in place.
        batch_size: number of samples.

    Example:
        >>> import torch
        >>> tokens = torch.zeros(2, 3, 2)
        >>> changed = [tokens.transpose(*dims) for dims in ((1, 2), (0, 2))]
        >>> [keeps_batch("transpose", (tokens, *d), {}, [tokens], t, 2) for d, t in zip(((1, 2), (0, 2)), changed)]
        [True, False]
    """
    if result.ndim == 0 or len(result) != batch_size or not args or name in _MAY_MOVE_THE_BATCH:
        return False
    x, *others = args
    if name in _ALIGNED:  # from the last dimension on
        aligned = all(t.ndim == result.ndim for t in flowing)
        return aligned and (name != "matmul" or result.ndim > 2 or all(t is x for t in flowing))
    if name == "einsum":
        terms, _, out = x.replace(" ", "").partition("->") if isinstance(x, str) else ("", "", "")
        operands = others[0] if len(others) == 1 and isinstance(others[0], tuple | list) else others
        firsts = [term[:1] for term, t in zip(terms.split(","), operands, strict=False) if any(t is f for f in flowing)]
        return bool(firsts) and all(first == out[:1] != "" for first in firsts)
    if name in _ALONG_DIMENSIONS:
        dims = [d for v in (*others, *kwargs.values()) for d in (v if isinstance(v, tuple | list) else [v])]
        numbers = [d for d in dims if isinstance(d, int) and not isinstance(d, bool)]
        return bool(numbers) and all(d % x.ndim != 0 for d in numbers)
    if name == "pad":
        amounts = others[0] if others else kwargs["pad"]
        return len(amounts) <= 2 * (x.ndim - 1)
    if name == "permute":
        order = others[0] if others and isinstance(others[0], tuple | list) else others
        return bool(order) and order[0] == 0
    if name in ("getitem", "setitem"):
        first = others[0][0] if isinstance(others[0], tuple) and others[0] else others[0]
        return isinstance(first, slice) and first == slice(None)
    return True
