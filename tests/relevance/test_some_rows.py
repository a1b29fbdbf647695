# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Gradients without their zeros are ordinary tensors to every operation, and have the derivatives of these."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance.some_rows import AllRows, SomeRows, Spread, Taken

N, ROWS = 4, torch.tensor([3, 1])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def with_zeros(part: torch.Tensor, rows: torch.Tensor = ROWS) -> torch.Tensor:
    return torch.stack([part[rows.tolist().index(n)] if n in rows else torch.zeros_like(part[0]) for n in range(N)])


PART, OTHER = random(2, 3), random(2, 3, seed=1)


@pytest.mark.parametrize(
    ("operation", "stays"),
    [
        (lambda x: x + random(N, 3), False),
        (lambda x: random(N, 3) + x, False),
        (lambda x: x + random(3), False),
        (lambda x: torch.add(x, random(N, 3), alpha=2), False),
        (lambda x: x + x, True),
        (lambda x: x.detach(), True),
        (lambda x: x * 2 + x.sum(), False),
        (lambda x: x.reshape(2, 6).t(), False),
        (lambda x: torch.cat([x, x], 1), False),
    ],
)
def test_operations_see_an_ordinary_tensor(operation, stays):
    found = operation(SomeRows(PART, ROWS, N))
    assert isinstance(found, SomeRows) is stays
    torch.testing.assert_close(AllRows.apply(found), operation(with_zeros(PART)), rtol=0, atol=0)


def test_sums_of_other_rows():
    rows = torch.tensor([0, 3])
    found = SomeRows(PART, ROWS, N) + SomeRows(OTHER, rows, N)
    torch.testing.assert_close(found, with_zeros(PART) + with_zeros(OTHER, rows), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("pool", "dims"), [(F.max_pool2d, 2), (F.avg_pool2d, 2), (F.max_pool3d, 3), (F.adaptive_avg_pool2d, 2)]
)
def test_pools_give_back_what_belongs_to_the_rows(pool, dims):
    x = random(N, 2, *[4] * dims).requires_grad_()
    part = random(2, 2, *[2] * dims)
    found = torch.autograd.grad(pool(x, 2), x, SomeRows(part, ROWS, N))[0]
    torch.testing.assert_close(AllRows.apply(found), torch.autograd.grad(pool(x, 2), x, with_zeros(part))[0])


def test_first_and_second_derivatives():
    x, part = random(N, 3).requires_grad_(), PART.clone().requires_grad_()

    def function(x: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        spread = Spread.apply(part * part, ROWS, N)
        return (Taken.apply(x.exp(), ROWS) * Taken.apply(spread, ROWS) + Taken.apply(spread + x, ROWS)).sin()

    def plainly(x: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        spread = torch.zeros(N, 3, dtype=torch.double).index_copy(0, ROWS, part * part)
        return (x.exp()[ROWS] * spread[ROWS] + (spread + x)[ROWS]).sin()

    torch.testing.assert_close(function(x, part), plainly(x, part))
    found, expected = (torch.autograd.grad(f(x, part).sum(), [x, part], create_graph=True) for f in (function, plainly))
    torch.testing.assert_close([AllRows.apply(g) for g in found], list(expected))
    seconds = [
        torch.autograd.grad(sum(g.square().sum() for g in gradients), [x, part]) for gradients in (found, expected)
    ]
    torch.testing.assert_close(*seconds)
