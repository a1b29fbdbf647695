# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Operations without a relevance rule: errors that name them, and ordinary gradients for those that are allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lrp_helpers import Functional, conv, gradient_times_input, head, relative_error
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP, UncoveredOperationError


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return 2 * g


@pytest.fixture(scope="module")
def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(conv(4, 4), nn.ReLU()))


def over_norm(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm()


UNCOVERED = {
    "torch.exp": (torch.exp, "torch.exp ", ["exp"]),
    "tensor.exp": (torch.Tensor.exp, "exp", ["exp"]),
    "power": (lambda x: x**2, "pow", ["pow"]),
    "product": (lambda x: x * x, "mul", ["mul"]),
    "product in place": (lambda x: x.mul(1).mul_(x.flip(1)), "mul", ["mul"]),
    "matrix product": (lambda x: x @ x, "matmul", ["matmul"]),
    "division": (lambda x: 1 / (x + 1), "div|reciprocal", ["div", "reciprocal", "rdiv", "rtruediv"]),
    "norm": (over_norm, "norm", ["norm", "div"]),
    "division by a norm": (over_norm, "div", ["norm"]),
    "maximum": (lambda x: torch.maximum(x, x.flip(1)), "maximum", ["maximum"]),
    "custom function": (Custom.apply, "CustomBackward", ["CustomBackward"]),
    "normalize": (F.normalize, "normalize", ["normalize"]),
    "log_softmax": (lambda x: x.log_softmax(1), "log_softmax", ["log_softmax"]),
}


def around(operation: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return head(m, m.conv2(operation(F.relu(m.conv1(x)))))

    return Functional(forward, conv1=conv(2, 4), conv2=conv(4, 4), fc=nn.Linear(4, 3)).double()


@pytest.mark.parametrize(("operation", "name"), [u[:2] for u in UNCOVERED.values()], ids=UNCOVERED)
def test_uncovered_operation_is_an_error_that_names_it(operation, name) -> None:
    allow = ["norm"] if name == "div" else []
    with pytest.raises(UncoveredOperationError, match=name):
        LRP(around(operation), 0, allow=allow)(torch.rand(2, 2, 8, 8, dtype=torch.double), "all")


@pytest.mark.parametrize(
    ("operation", "allow"), [u[::2] for k, u in UNCOVERED.items() if k != "division by a norm"], ids=lambda v: None
)
def test_allowed_operation_passes_its_ordinary_gradient(operation, allow) -> None:
    network, x = around(operation), torch.rand(2, 2, 8, 8, dtype=torch.double)
    logits, relevance = LRP(network, 0, allow=allow)(x, "all")
    assert torch.equal(logits, network(x))
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10


def refused(network: nn.Module, x: torch.Tensor, allow: list[str]) -> str:
    try:
        LRP(network, 0, allow=allow)(x, "all")
    except UncoveredOperationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("operation", [u[0] for u in UNCOVERED.values()], ids=UNCOVERED)
def test_the_advice_of_the_error_works(operation) -> None:
    """Allowing what the message says, and again for the next one, ends with relevance."""
    network, x, allow = around(operation), torch.rand(2, 2, 8, 8, dtype=torch.double), []
    while (error := refused(network, x, allow)) and len(allow) < 3:
        allow.append(error.split('allow=["')[1].split('"')[0])
    _, relevance = LRP(network, 0, allow=allow)(x, "all")
    assert allow
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10


def test_scripted_module_is_an_error_that_names_its_last_operation(scripted) -> None:
    network = around(scripted.double())
    x = torch.rand(2, 2, 8, 8, dtype=torch.double)
    with pytest.raises(UncoveredOperationError, match=r"ReluBackward0.*scripted"):
        LRP(network)(x, "all")
    _, relevance = LRP(network, 0, allow=["ReluBackward0"])(x, "all")
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10


@pytest.mark.parametrize("operation", [torch.exp, Custom.apply, lambda x: x * x, over_norm])
def test_uncovered_last_operation(operation) -> None:
    network = Functional(lambda m, x: operation(head(m, F.relu(m.conv(x)))), conv=conv(2, 4), fc=nn.Linear(4, 3))
    with pytest.raises(UncoveredOperationError):
        LRP(network)(torch.rand(2, 2, 8, 8), "all")


def test_allowed_last_operation() -> None:
    network = Functional(lambda m, x: Custom.apply(head(m, F.relu(m.conv(x)))), conv=conv(2, 4), fc=nn.Linear(4, 3))
    network, x = network.double(), torch.rand(2, 2, 8, 8, dtype=torch.double)
    _, relevance = LRP(network, 0, allow=["CustomBackward"])(x, "all")
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_uncovered(make) -> None:
    network = Functional(lambda m, x: m.fc(m.rnn(x.transpose(1, 2))[0][:, -1]), rnn=make(2, 4, batch_first=True))
    network.fc = nn.Linear(4, 3)
    network, x = network.double(), torch.rand(2, 2, 10, dtype=torch.double)
    name = make.__name__.lower()
    with pytest.raises(UncoveredOperationError, match=name):
        LRP(network)(x, "all")
    _, relevance = LRP(network, 0, allow=[name])(x, "all")
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10
