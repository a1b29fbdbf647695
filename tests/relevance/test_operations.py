# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Operations that are linear or choose, and gates: relevance goes through them as their gradient does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.relevance.lrp_helpers import Activation, check, conv, head


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _written(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    out.narrow(1, 1, 3).copy_(x[:, :3])
    return out


BETWEEN = {
    "F.pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "F.pad with a value": lambda x: F.pad(x, (1, 2), value=0.7),
    "F.pad reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "cat and chunk": lambda x: torch.cat([x.chunk(2, 1)[1], 2 * x.chunk(2, 1)[0], x], 1)[:, :4],
    "cat by numpy's name": lambda x: torch.cat([2 * x, x], axis=1)[:, 2:6],
    "cat with nothing": lambda x: torch.cat([torch.tensor([], dtype=x.dtype), x], 1),
    "split and stack": lambda x: torch.stack(x.split(2, 1), 1).sum(1).repeat(1, 2, 1, 1),
    "unbind": lambda x: torch.stack([2 * t for t in x.unbind(1)], 1),
    "avg_pool": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "max_pool": lambda x: F.max_pool2d(x, 3, stride=2, padding=1),
    "max_pool module": nn.MaxPool2d(2),
    "adaptive_avg_pool": lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    "adaptive_max_pool": nn.AdaptiveMaxPool2d(3),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
    "upsample": nn.Upsample(scale_factor=2),
    "pixel shuffle": lambda x: F.pixel_shuffle(x, 2).repeat(1, 4, 1, 1),
    "transpose": lambda x: x.transpose(2, 3).permute(0, 1, 3, 2).mT,
    "views": lambda x: x.flatten(1).view(len(x), 4, -1).reshape(x.shape).contiguous().clone(),
    "roll and flip": lambda x: x.roll(1, 2).flip(3),
    "where": lambda x: torch.where(torch.ones(8, 8).triu() > 0, x, 0.5 * x),
    "masked_fill": lambda x: x.masked_fill(torch.ones(8, 8).triu() > 0, 0.0),
    "arithmetic": lambda x: (2 * x / 3 - 0.1) + (1 - x) * 0.5 + -x,
    "in-place arithmetic": lambda x: x.mul(2).add_(0.1).div_(3).sub_(0.2).mul_(-1.5),
    "mean and expand": lambda x: x.mean((2, 3), keepdim=True).expand_as(x) + x,
    "max over channels": lambda x: 0.5 * x + x.max(1, keepdim=True).values,
    "min over channels": lambda x: x + x.min(dim=1, keepdim=True)[0],
    "topk": lambda x: x.topk(4, 1).values,
    "sort": lambda x: torch.sort(x, 1)[0],
    "median": lambda x: x + x.median(1, keepdim=True)[0],
    "pooled with indices": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "as_tensor": lambda x: torch.as_tensor(x),
    "asarray": lambda x: torch.asarray(x),
    "attributes": lambda x: x.flatten(2).mT.reshape(x.shape),
    "turned": lambda x: x.rot90(1, (2, 3)).fliplr() + x.flipud(),
    "ravel": lambda x: x.ravel().view(x.shape),
    "taken": lambda x: x.take_along_dim(x.argsort(2), 2) + x.gather(3, x.argmax(3, keepdim=True)),
    "where and masks": lambda x: torch.where(x > 0.3, x, 0.1 * x).masked_fill(x > 0.7, 0.0),
    "scatter_add": lambda x: torch.zeros_like(x).scatter_add(
        1, torch.tensor([0, 0, 3, 1]).view(1, 4, 1, 1).expand(x.shape), x
    ),
    "merged tokens": lambda x: x.scatter_reduce(2, x.argsort(2)[:, :, ::2], 2 * x[:, :, 1::2], "mean"),
    "addmm": lambda x: torch.addmm(x.flatten(1), x.flatten(1), torch.eye(256, dtype=x.dtype)).view_as(x),
    "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "grid_sample": lambda x: F.grid_sample(
        x, torch.linspace(-0.9, 0.9, 128, dtype=x.dtype).view(1, 8, 8, 2).expand(4, 8, 8, 2)
    ),
    "shapes alone": lambda x: x + torch.ones_like(x) * 0.1 + x.new_full((1, 4, 1, 1), 0.2),
    "written into a buffer": lambda x: _written(x),
    "dropout": lambda x: F.dropout(x, 0.3, training=True),
    "dropout2d": lambda x: F.dropout2d(x, 0.3, training=True),
}


def differentiates_twice(operation: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether this version of torch does: 2.10 takes the gradient off asarray, and has no second one of grid_sample."""
    x = torch.rand(4, 4, 8, 8, requires_grad=True)
    try:
        (gradient,) = torch.autograd.grad(operation(x).square().sum(), x, create_graph=True)
        gradient.sum().backward()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("name", BETWEEN)
def test_operations_that_are_linear_or_choose(name: str) -> None:
    between = BETWEEN[name]
    if name in ("asarray", "grid_sample") and not differentiates_twice(between):
        pytest.skip(f"torch {torch.__version__} itself does not differentiate it twice")

    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.conv2(between(act(m.conv1(x))))))

    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, **layers)


def test_dropout_in_place_in_training() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation, inplace: bool = False) -> torch.Tensor:
        return head(m, act(m.conv2(F.dropout(m.conv1(x), 0.3, training=True, inplace=inplace))))

    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, F.relu, True), forward, training=True, **layers)


def test_copies_of_the_batch_in_pairs() -> None:
    """What stands in the first dimension of the pairs is not the sample of that number."""

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.cat([m.conv1(x), 2 * m.conv1(x)]).reshape(len(x), 2, 4, 8, 8).relu()
        return head(m, m.conv2(pairs.reshape(2, len(x), 4, 8, 8).sum(0)).relu())

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.conv2(act(m.conv1(x)) + act(2 * m.conv1(x)))))

    check(fancy, plain, conv1=conv(2, 4), conv2=conv(4, 4), fc=nn.Linear(4, 3))


def test_padding_that_moves_samples() -> None:
    """The samples that follow, and none after the last one."""

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        moved = F.pad(m.conv1(x), (*[0] * 6, -1, 1)).relu()
        return head(m, m.conv2(F.pad(moved, (*[0] * 6, 1, -1))).relu())

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        kept = torch.tensor([0.0, 1.0, 1.0, 1.0]).view(4, 1, 1, 1)
        return head(m, act(m.conv2(kept * act(m.conv1(x)))))

    check(fancy, plain, conv1=conv(2, 4), conv2=conv(4, 4), fc=nn.Linear(4, 3))


def test_product_that_turns_samples_into_columns() -> None:
    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.fc(torch.inner(m.first.weight, x.flatten(1)).relu().t())

    layers = {"first": nn.Linear(128, 4, bias=False), "fc": nn.Linear(4, 3)}
    check(fancy, lambda m, x, act: m.fc(act(m.first(x.flatten(1)))), **layers)


@pytest.mark.parametrize("write", [lambda b, x: b.narrow(1, 1, 3).copy_(x), lambda b, x: b[:, 1:].add_(x)])
def test_a_buffer_of_parameters_that_takes_up_what_flows(write) -> None:
    """As one that begins with a class token; a view of it that was taken before shows the same."""

    def filled(m: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        buffer = m.token.weight.view(4, 1, 1).expand(4, 4, 8, 8) * torch.tensor([1, 0, 0, 0]).view(4, 1, 1)
        view = buffer[:, :2]
        write(buffer, x[:, :3])
        return buffer, view

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        buffer, view = filled(m, m.conv1(x))
        return head(m, m.conv2(buffer.relu() + view.relu().sum(1, keepdim=True)).relu())

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        token = m.token.weight.view(4, 1, 1)[:1].expand(4, 1, 8, 8)
        buffer = torch.cat([token, m.conv1(x)[:, :3]], 1)
        return head(m, act(m.conv2(act(buffer) + act(buffer[:, :2]).sum(1, keepdim=True))))

    check(fancy, plain, conv1=conv(2, 4), conv2=conv(4, 4), token=nn.Linear(4, 1), fc=nn.Linear(4, 3))


def test_linear_on_tokens() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return m.fc(act(m.second(act(m.first(x.flatten(2).transpose(1, 2))))).mean(1))

    layers = {"first": nn.Linear(2, 7), "second": nn.Linear(7, 5), "fc": nn.Linear(5, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, **layers)


def test_matrix_product_with_a_parameter() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return act(m.first(x.flatten(1))) @ m.fc.weight.t() + m.fc.bias

    check(lambda m, x: forward(m, x, F.relu), forward, first=nn.Linear(128, 7), fc=nn.Linear(7, 3))


def test_gates_and_attention_weights_are_constants() -> None:
    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.conv1(x))
        x = x * torch.sigmoid(m.gate(F.relu(m.squeeze(x.mean((2, 3)))))[:, :, None, None])
        q, k, v = m.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return m.fc(((q @ k.transpose(1, 2) / 2).softmax(-1) @ v).mean(1))

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        x = act(m.conv1(x))
        x = x * torch.sigmoid(m.gate(F.relu(m.squeeze(x.mean((2, 3)))))[:, :, None, None]).detach()
        q, k, v = m.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return m.fc(((q @ k.transpose(1, 2) / 2).softmax(-1).detach() @ v).mean(1))

    def fused(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.conv1(x))
        x = x * F.sigmoid(m.gate(F.relu(m.squeeze(x.mean((2, 3)))))[:, :, None, None])
        q, k, v = m.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return m.fc(F.scaled_dot_product_attention(q, k, v, scale=0.5).mean(1))

    layers = {"conv1": conv(2, 4), "squeeze": nn.Linear(4, 2), "gate": nn.Linear(2, 4), "qkv": nn.Linear(4, 12)}
    check(fancy, plain, fc=nn.Linear(4, 3), **layers)
    check(fused, plain, fc=nn.Linear(4, 3), **layers)


ORDER = torch.tensor([2, 0, 3, 1])
MATRIX = torch.eye(4, dtype=torch.double)[ORDER]


def written_by_index(x: torch.Tensor) -> torch.Tensor:
    moved = torch.empty_like(x)
    moved[ORDER.argsort()] = x
    return moved


def written_one_by_one(x: torch.Tensor) -> torch.Tensor:
    moved = x.clone()
    for n, source in enumerate(ORDER):
        moved[n] = x[source]
    return moved


def written_to_a_view(x: torch.Tensor) -> torch.Tensor:
    moved = x.clone()
    moved[:2].copy_(x[ORDER[:2]])
    moved[2:].copy_(x[ORDER[2:]])
    return moved


MOVED = {
    "index": lambda x: x[ORDER],
    "written by index": written_by_index,
    "written one by one": written_one_by_one,
    "written to a view": written_to_a_view,
    "matrix product": lambda x: (MATRIX @ x.flatten(1)).view_as(x),
    "einsum": lambda x: torch.einsum("ab,bchw->achw", MATRIX, x),
    "broadcast": lambda x: (MATRIX[..., None, None, None] * x).sum(1),
}


@pytest.mark.parametrize("move", MOVED.values(), ids=MOVED)
def test_rows_of_samples_that_change_their_places(move: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """In between, what stands in the first dimension is not the sample of that number."""

    def moved(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return head(m, m.conv2(move(m.conv1(x).relu())).relu())[ORDER.argsort()]

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.conv2(act(m.conv1(x)))))

    check(moved, plain, conv1=conv(2, 4), conv2=conv(4, 4), fc=nn.Linear(4, 3))
