# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Linear maps of every geometry, and values for them."""

from __future__ import annotations

import torch
from torch.autograd import gradcheck, gradgradcheck

from monai_debias.relevance import rules

EPSILON = 0.1


CONVOLUTIONS = {
    "1d": (rules.Convolution([2], [1], [1], False, [0], 1), (2, 3, 7), (4, 3, 3), (2, 4, 4)),
    "2d grouped": (
        rules.Convolution([1, 1], [1, 1], [1, 2], False, [0, 0], 2),
        (2, 2, 4, 6),
        (4, 1, 3, 3),
        (2, 4, 4, 4),
    ),
    "3d": (
        rules.Convolution([2, 1, 2], [0, 0, 0], [1, 1, 1], False, [0] * 3, 1),
        (1, 2, 5, 3, 4),
        (3, 2, 2, 2, 2),
        (1, 3, 2, 2, 2),
    ),
    "2d transposed": (
        rules.Convolution([2, 2], [1, 1], [1, 1], True, [1, 1], 1),
        (2, 3, 3, 3),
        (3, 2, 3, 3),
        (2, 2, 6, 6),
    ),
    "dense": (rules.Dense(), (2, 5, 4), (3, 4), (2, 5, 3)),
}


def values(*shape: int, low: float = -1.0) -> torch.Tensor:
    """Numbers away from the kinks at 0, from a generator of their own."""
    values.calls += 1
    u = torch.rand(shape, dtype=torch.double, generator=torch.Generator().manual_seed(values.calls))
    u = 0.2 + u
    return (u if low >= 0 else u * (1 - 2 * (u * 1000 % 1 > 0.5).double())).requires_grad_()


values.calls = 0


def check(function, *inputs: torch.Tensor | None) -> None:
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)
