# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Global weighted rank pooling: something between the maximum and the mean."""

from __future__ import annotations

import math

import torch

from monai_debias.constraints import TENSOR, Integer, Number
from monai_debias.parameters import expects

__all__ = ["rank_pooling", "rank_weights"]


@expects(values=TENSOR, decay=Number("[0, 1]"))
def rank_pooling(values: torch.Tensor, decay: float) -> torch.Tensor:
    """Pool the last dimension by a mean in which the i-th largest value weighs ``decay**i``.

    ``g = Σ dⁱ a₍ᵢ₎ / Σ dⁱ`` over all N values, i = 0 for the largest. d = 1 is the mean and d = 0 the maximum (whose
    gradient is shared evenly among equal largest values); between them about 1/(1 − d) values count.

    Ranks whose weights together are below the resolution of the dtype are left out, so that only the leading values
    need to be found and sorted. For values of 0 or more the relative error is below that resolution, too, on every
    processor: they are added up in float64 (on MPS, which has no float64, in float32, with a few times that error).

    Args:
        values: floating point tensor of shape (..., N), 0 or more, N at least 1.
        decay: d, from 0 to 1.

    Returns:
        Tensor of shape (...).

    Raises:
        ValueError: when ``decay`` lies outside [0, 1] or there are no values.

    Reference:
        Kolesnikov and Lampert, "Seed, Expand and Constrain", ECCV 2016.

    Example:
        >>> import torch
        >>> rank_pooling(torch.tensor([[1.0, 4.0, 2.0]]), decay=0.5)  # (4 + 2/2 + 1/4) / (1 + 1/2 + 1/4)
        tensor([3.])
    """
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"rank pooling needs at least one value in the last dimension, got {tuple(values.shape)}.")
    if decay == 0:
        return values.amax(-1)
    exact = torch.float32 if values.device.type == "mps" else torch.float64
    if decay == 1:
        return values.mean(-1, dtype=exact).to(values.dtype)
    leading = values.topk(_n_ranks(values, decay), dim=-1).values.to(exact)
    # not a product of vectors, whose terms many processors add up one after the other
    return (leading * rank_weights(leading.shape[-1], decay, like=leading)).sum(-1).to(values.dtype)


@expects(n=Integer("[1, inf)"), decay=Number("[0, 1]"), like=TENSOR)
def rank_weights(n: int, decay: float, like: torch.Tensor) -> torch.Tensor:
    """The weights of n ranks, ``dⁱ / Σ dⁱ``.

    Args:
        n: number of ranks, at least 1.
        decay: d, from 0 to 1.
        like: tensor with the dtype and device that the weights should have.

    Returns:
        Tensor of shape (n,), in falling order, with the sum 1.

    Raises:
        ValueError: when ``n`` is below 1 or ``decay`` lies outside [0, 1].

    Example:
        >>> import torch
        >>> rank_weights(2, 0.25, like=torch.zeros(1))
        tensor([0.8000, 0.2000])
    """
    # not a power, which in float32 multiplies the rounding of d by i; d = 0 has no logarithm, but a stand-in for it
    ranks = torch.arange(n, dtype=like.dtype, device=like.device)
    weights = (ranks * math.log(max(decay, 1e-300))).exp()
    return weights / weights.sum()


def _n_ranks(values: torch.Tensor, decay: float) -> int:
    """How many ranks carry weight: those after them have the share ``decay**n`` of it."""
    share = torch.finfo(values.dtype).eps / 16  # 7e-9 in float32
    return min(values.shape[-1], math.ceil(math.log(share) / math.log(decay)))
