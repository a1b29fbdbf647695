# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Operations without a relevance rule: errors that name them, and ordinary gradients for those that are allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import ResNet
from monai.networks.nets.resnet import ResNetEncoder
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP, UncoveredOperationError
from tests.relevance.lrp_helpers import Functional, conv, gradient_times_input, head, relative_error


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


class Identity(torch.autograd.Function):
    """It returns its argument itself, as gradient reversal does; torch makes a view of it without a gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return g


@pytest.fixture(scope="module")
def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(conv(4, 4), nn.ReLU()))


def sampled(x: torch.Tensor) -> torch.Tensor:
    """A picture that does not depend on the input, at places that do."""
    picture = torch.arange(16.0).to(x).view(1, 1, 4, 4).expand(len(x), 1, 4, 4)
    return F.grid_sample(picture, x[:, :2].permute(0, 2, 3, 1), align_corners=False)


def gate_in_place(x: torch.Tensor) -> torch.Tensor:
    view = x.view_as(x)
    x.sigmoid_()
    return view


def flow_into_gate(x: torch.Tensor) -> torch.Tensor:
    gate = x.sigmoid() * 1.0
    view = gate.view_as(gate)
    gate.mul_(x)
    return view


UNCOVERED = {
    "torch.exp": (torch.exp, "torch.exp ", ["exp"]),
    "tensor.exp": (torch.Tensor.exp, "exp", ["exp"]),
    "power": (lambda x: x**2, "pow", ["pow"]),
    "product": (lambda x: x * x, "mul", ["mul"]),
    "product in place": (lambda x: x.mul(1).mul_(x.flip(1)), "mul", ["mul"]),
    "matrix product": (lambda x: x @ x, "matmul", ["matmul"]),
    "division": (lambda x: 1 / (x + 1), "div|reciprocal", ["div", "reciprocal", "rdiv", "rtruediv"]),
    "division by a mean": (lambda x: x / x.mean(), "div", ["div"]),
    "maximum": (lambda x: torch.maximum(x, x.flip(1)), "maximum", ["maximum"]),
    "clamp that moves 0": (lambda x: x.clamp(min=0.1), "clamp .*limits", ["clamp"]),
    "hardtanh that moves 0": (lambda x: F.hardtanh(x, 0.1, 2.0), "hardtanh .*limits", ["hardtanh"]),
    "places of a sampling": (lambda x: x + sampled(x), "grid_sample .*places", ["grid_sample"]),
    "norm of the whole batch": (lambda x: F.layer_norm(x, x.shape), "layer_norm .*batch", ["layer_norm"]),
    "gate that a view shows": (lambda x: gate_in_place(x * 1), "sigmoid_ .*another", ["sigmoid"]),
    "gate that takes up what flows": (lambda x: x * flow_into_gate(x), "sigmoid", ["sigmoid", "mul"]),
    "clamp by a tensor": (lambda x: x.clamp(torch.zeros(1).to(x)), "clamp .*limits", ["clamp"]),
    "largest of those at a place": (
        lambda x: torch.zeros_like(x).scatter_reduce(1, x.argsort(1), x, "amax"),
        "scatter_reduce .*sums and means",
        ["scatter_reduce"],
    ),
    "mapped by torch.func": (
        lambda x: torch.func.vmap(lambda w: F.conv2d(x, w))(torch.ones(2, 4, 4, 1, 1).to(x)).sum(0),
        "torch.func",
        ["sum", "MovedimBackward0", "PermuteBackward0", "ConvolutionBackward0", "AddBackward0"],
    ),
    "custom function": (Custom.apply, "Custom", ["Custom"]),
    "custom identity": (Identity.apply, "Identity", ["Identity"]),
    "norm with torch's own arguments": (
        lambda x: torch.layer_norm(x, (8,), None, None, 1e-5, False),
        "torch.layer_norm .*torch.nn.functional",
        ["layer_norm"],
    ),
    "softmax by hand": (lambda x: x.exp() / x.exp().sum(1, keepdim=True), "exp", ["exp", "div"]),
    "log_softmax": (lambda x: x.log_softmax(1), "log_softmax", ["log_softmax"]),
}


def around(operation: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return head(m, m.conv2(operation(F.relu(m.conv1(x)))))

    return Functional(forward, conv1=conv(2, 4), conv2=conv(4, 4), fc=nn.Linear(4, 3)).double()


@pytest.mark.parametrize(("operation", "name"), [u[:2] for u in UNCOVERED.values()], ids=UNCOVERED)
def test_uncovered_operation_is_an_error_that_names_it(operation, name) -> None:
    with pytest.raises(UncoveredOperationError, match=name):
        LRP(around(operation), 0)(torch.rand(2, 2, 8, 8, dtype=torch.double), "all")


@pytest.mark.parametrize(("operation", "allow"), [u[::2] for u in UNCOVERED.values()], ids=UNCOVERED)
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


@pytest.mark.parametrize("operation", [torch.exp, Custom.apply, lambda x: x * x, torch.Tensor.square])
def test_uncovered_last_operation(operation) -> None:
    network = Functional(lambda m, x: operation(head(m, F.relu(m.conv(x)))), conv=conv(2, 4), fc=nn.Linear(4, 3))
    with pytest.raises(UncoveredOperationError):
        LRP(network)(torch.rand(2, 2, 8, 8), "all")


def test_allowed_last_operation() -> None:
    network = Functional(lambda m, x: Custom.apply(head(m, F.relu(m.conv(x)))), conv=conv(2, 4), fc=nn.Linear(4, 3))
    network, x = network.double(), torch.rand(2, 2, 8, 8, dtype=torch.double)
    _, relevance = LRP(network, 0, allow=["Custom"])(x, "all")
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


def without_gradients(x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return x.flip(1) * 2


def changed_without_gradients(x: torch.Tensor) -> torch.Tensor:
    y = x * 1
    with torch.no_grad():
        y.mul_(2)
    return y


def changed_by_an_alias(x: torch.Tensor) -> torch.Tensor:
    y = x * 1
    y.detach()[:, 0].zero_()
    return y


def straight_through(x: torch.Tensor) -> torch.Tensor:
    return x + ((x * 4).round() / 4 - x).detach()


def into_a_buffer(values: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Written into a part of a constant that was taken before, and seen by another one."""

    def between(x: torch.Tensor) -> torch.Tensor:
        buffer = torch.zeros_like(x)
        part, other = buffer[:, :2], buffer[:, 1:3]
        part.copy_(values(x)[:, :2])
        return x + buffer + other.mean(1, keepdim=True)

    return between


def written_without_gradients(x: torch.Tensor) -> torch.Tensor:
    buffer = torch.zeros_like(x)
    with torch.no_grad():
        buffer.narrow(1, 0, 2).copy_(x[:, :2])
    return x + buffer


def set_data(x: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(x)
    y.data = x
    return x + y


LOST = {
    "detach": (lambda x: x + 2 * x.detach(), ["detach"]),
    "detach in place": (lambda x: x + x.flip(1).detach_(), ["detach"]),
    "data": (lambda x: torch.cat([x.data, x], 1)[:, 2:6], ["data"]),
    "data that is set": (set_data, ["data"]),
    "no_grad": (lambda x: x + without_gradients(x), ["no_grad"]),
    "changed in no_grad": (changed_without_gradients, ["no_grad"]),
    "changed by an alias": (changed_by_an_alias, ["detach"]),
    "straight through": (straight_through, ["detach", "round"]),
    "tensor": (lambda x: x + torch.tensor(x), ["tensor"]),
    "new_tensor": (lambda x: x + x.new_tensor(x), ["new_tensor"]),
    "numpy": (lambda x: x + torch.from_numpy(x.detach().numpy().copy()), ["numpy", "detach"]),
    "asarray": (lambda x: x + torch.from_numpy(np.asarray(x.detach()).copy()), ["array", "detach"]),
    "item": (lambda x: x + x.sum().item(), ["item"]),
    "float": (lambda x: x + float(x.sum()), ["float"]),
    "tolist": (lambda x: x + torch.tensor(x.tolist()), ["tolist"]),
    "int": (lambda x: x + int(100 * x.sum()), ["int"]),
    "a step in a buffer": (into_a_buffer(lambda x: x > 0.5), ["gt"]),
    "detached in a buffer": (into_a_buffer(torch.detach), ["detach"]),
    "no_grad in a buffer": (written_without_gradients, ["no_grad"]),
    "a step": (lambda x: x + (x > 0.5).double(), ["gt"]),
    "a position": (lambda x: x + x.argmax(1, keepdim=True), ["argmax"]),
    "a count": (lambda x: x + (x > 0.5).sum(), ["gt"]),
    "an added gate": (lambda x: x + x.flip(1).sigmoid(), ["sigmoid"]),
    "a joined gate": (lambda x: torch.cat([x.sigmoid(), x], 1)[:, 2:6], ["sigmoid"]),
    "an added deviation": (lambda x: x + x.std((2, 3), keepdim=True), ["std"]),
    "a bias of a convolution": (lambda x: F.conv2d(x, torch.ones(4, 4, 1, 1).to(x), x.mean((0, 2, 3))), ["conv2d"]),
    "a bias of a norm": (lambda x: F.layer_norm(x, (8,), None, x.mean((0, 1, 2))), ["layer_norm"]),
    "a custom function": (lambda x: x + Kept.apply(x), ["Kept"]),
    "a custom function in its place": (lambda x: x + Overwritten.apply(x.clone()), ["Overwritten"]),
}


class Kept(torch.autograd.Function):
    """A custom function whose result has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.mark_non_differentiable(y := 2 * x)
        return y


class Overwritten(torch.autograd.Function):
    """The same, in the memory of its argument."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(x)
        ctx.mark_non_differentiable(x.mul_(2))
        return x


@pytest.mark.parametrize(("operation", "allow"), LOST.values(), ids=LOST)
def test_relevance_that_would_be_lost_unnoticed_is_an_error(operation, allow) -> None:
    """Beside a path that is covered. What the error says to allow gives the ordinary gradient, in the end."""
    network, x, allowed = around(operation), torch.rand(2, 2, 8, 8, dtype=torch.double), []
    assert refused(network, x, allowed)
    while (error := refused(network, x, allowed)) and len(allowed) < 3:
        allowed.append(error.split('allow=["')[1].split('"')[0])
    assert set(allowed) <= set(allow)
    logits, relevance = LRP(network, 0, allow=allowed)(x, "all")
    assert torch.equal(logits, network(x))
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10


def test_shortcut_of_monai_that_takes_data() -> None:
    """Zero the main path: the logits change with the image all the same, and no map may say that they do not."""
    network = ResNet("basic", [1, 1, 1, 1], [4, 8, 8, 8], 2, 1, num_classes=3, shortcut_type="A").eval()
    with pytest.raises(UncoveredOperationError, match=r"Tensor.data .*without a gradient.*allow=\[.data.\]"):
        LRP(network)(torch.rand(2, 1, 32, 32), "all")


def test_encoder_of_monai_that_takes_data() -> None:
    """FlexibleUNet's resnet18 encoder is such a ResNet."""
    encoder = ResNetEncoder("resnet18", pretrained=False, spatial_dims=2, in_channels=1)
    network = Functional(lambda m, x: head(m, m.encoder(x)[-1]), encoder=encoder, fc=nn.Linear(512, 3)).eval()
    with pytest.raises(UncoveredOperationError, match=r"Tensor.data .*without a gradient"):
        LRP(network)(torch.rand(2, 1, 64, 64), "all")


SIDE = {
    "operation": lambda x: x.exp() ** 2,
    "product": lambda x: (x * x.flip(1)).log1p(),
    "custom function": Custom.apply,
    "detached statistics": lambda x: x.detach().mean(),
    "division": lambda x: 1 / (1 + x),
}


@pytest.mark.parametrize("operation", SIDE.values(), ids=SIDE)
def test_side_branch_that_does_not_reach_the_logits(operation) -> None:
    """As the reconstruction beside the classification in a variational autoencoder."""
    x = torch.rand(2, 2, 8, 8, dtype=torch.double)

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        features = F.relu(m.conv(x))
        m.loss = operation(features)
        return head(m, features)

    network = Functional(forward, conv=conv(2, 4), fc=nn.Linear(4, 3)).double()
    _, relevance = LRP(network, 0)(x, "all")
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.Sigmoid(), nn.LogSoftmax(1), lambda z: 1 - z.softmax(1)])
def test_probabilities_instead_of_logits(last) -> None:
    network = Functional(lambda m, x: last(head(m, F.relu(m.conv(x)))), conv=conv(2, 4), fc=nn.Linear(4, 3)).double()
    x = torch.rand(2, 2, 8, 8, dtype=torch.double)
    with pytest.raises(UncoveredOperationError, match=r"let (it|the network) return (its )?logits") as error:
        LRP(network, 0)(x, "all")
    name = str(error.value).split('allow=["')[1].split('"')[0]
    _, relevance = LRP(network, 0, allow=[name])(x, "all")  # for explaining: what it says it does
    assert relative_error(relevance, gradient_times_input(network, x)) < 1e-10
