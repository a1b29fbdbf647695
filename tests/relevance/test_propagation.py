# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks written in every way that torch allows, each against a plain formulation of the same network.

The plain formulation uses an activation of this file, whose backward is the rule, and torch's gradients for all else.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import Activation, Functional, batch_norm, check, conv, head, relative_error


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def inplace_method(u: torch.Tensor) -> torch.Tensor:
    u.relu_()
    return u


def inplace_function(u: torch.Tensor) -> torch.Tensor:
    F.relu(u, inplace=True)
    return u


def inplace_on_a_view(u: torch.Tensor) -> torch.Tensor:
    u.flatten(1).relu_()
    return u


def inplace_seen_by_a_view(u: torch.Tensor) -> torch.Tensor:
    view = u.flatten(1)
    u.relu_()
    return view.view_as(u)


def inplace_by_index(u: torch.Tensor) -> torch.Tensor:
    F.relu_(u[:, :2])
    u[:, 2:] = torch.relu(u[:, 2:])
    return u


RELU = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "tensor.relu": torch.Tensor.relu,
    "tensor.relu_": torch.Tensor.relu_,
    "tensor.relu_ without its result": inplace_method,
    "torch.relu_": torch.relu_,
    "F.relu_": F.relu_,
    "F.relu inplace": partial(F.relu, inplace=True),
    "F.relu inplace without its result": inplace_function,
    "keyword": lambda u: F.relu(input=u),
    "keyword of torch.relu": lambda u: torch.relu(input=u),
    "module": nn.ReLU(),
    "module inplace": nn.ReLU(inplace=True),
    "in place on a view": inplace_on_a_view,
    "in place and seen by a view": inplace_seen_by_a_view,
    "in place by index": inplace_by_index,
    "clamp": lambda u: u.clamp(min=0),
    "clamp in place": lambda u: torch.clamp_min_(u, 0.0),
    "on the parts of a chunk": lambda u: torch.cat([p.relu() for p in u.chunk(2, 1)], 1),
}


@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize("relu", RELU.values(), ids=RELU)
def test_relu_in_every_form(relu: Activation, with_norm: bool) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.norm2(m.conv2(act(m.norm1(m.conv1(x)))))))

    norms = (batch_norm(4), batch_norm(4)) if with_norm else (nn.Identity(), nn.Identity())
    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "norm1": norms[0], "norm2": norms[1], "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, relu), forward, **layers)


def test_one_module_used_everywhere() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        x = act(m.norm(m.shared(act(m.norm(m.first(x))))))
        return head(m, act(m.norm(m.shared(x))))

    layers = {"first": conv(2, 4), "shared": conv(4, 4), "norm": batch_norm(4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, m.act), forward, act=nn.ReLU(inplace=True), **layers)


def test_residual_added_in_place() -> None:
    def block(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        out = m.norm2(m.conv2(act(m.norm1(m.conv1(x)))))
        return out

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        x.relu_()
        out = block(m, x, F.relu_)
        out += x
        m.act(out)
        return head(m, out)

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        x = act(m.stem(x))
        return head(m, act(block(m, x, act) + x))

    layers = {"stem": conv(2, 4), "conv1": conv(4, 4), "conv2": conv(4, 4), "norm1": batch_norm(4)}
    check(fancy, plain, norm2=batch_norm(4), act=nn.ReLU(inplace=True), fc=nn.Linear(4, 3), **layers)


@pytest.mark.parametrize("relu", [F.relu_, nn.ReLU(inplace=True), lambda u: u.clamp_(min=0)])
def test_an_activation_in_place_returns_the_tensor_itself(relu: Activation) -> None:
    """A view of it is changed later, and so is what was returned."""

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        u = m.conv(x)
        view = u.flatten(2)
        out = relu(u)
        view *= 2
        return head(m, out)

    check(fancy, lambda m, x, act: head(m, 2 * act(m.conv(x))), conv=conv(2, 4), fc=nn.Linear(4, 3))


def viewed_before(u: torch.Tensor) -> torch.Tensor:
    view = u.view_as(u)
    F.leaky_relu_(F.leaky_relu_(u))
    return view


def viewed_before_a_change(u: torch.Tensor) -> torch.Tensor:
    view = u.view_as(u)
    u *= 1.0
    F.leaky_relu_(F.leaky_relu_(u))
    return view


def named_twice(u: torch.Tensor) -> torch.Tensor:
    F.leaky_relu_(u)
    F.leaky_relu_(u)
    return u


@pytest.mark.parametrize("in_place", [viewed_before, viewed_before_a_change, named_twice])
def test_activations_in_place_add_up(in_place: Activation) -> None:
    """However the tensor is named after them."""
    layers, x = {"conv": conv(2, 4), "fc": nn.Linear(4, 3)}, torch.randn(2, 2, 8, 8)
    fancy = Functional(lambda m, x: head(m, in_place(m.conv(x))), **layers)
    plain = Functional(lambda m, x: head(m, F.leaky_relu(F.leaky_relu(m.conv(x)))), **layers)
    expected, found = (LRP(network)(x, "all") for network in (plain, fancy))
    assert all(relative_error(one, other) < 1e-6 for one, other in zip(found, expected, strict=True))


GEOMETRY = {
    "strided": conv(4, 6, stride=2),
    "dilated": conv(4, 6, padding=2, dilation=2),
    "grouped": conv(4, 6, groups=2),
    "depthwise": conv(4, 4, groups=4),
    "same": conv(4, 6, padding="same", dilation=2),
    "valid": conv(4, 6, padding="valid"),
    "asymmetric": nn.Conv2d(4, 6, (3, 1), stride=(1, 2), padding=(0, 1)),
    "reflect": conv(4, 6, padding_mode="reflect"),
    "circular even kernel": nn.Conv2d(4, 6, 2, padding="same", padding_mode="circular"),
    "replicate": conv(4, 6, padding_mode="replicate"),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    "transposed, dilated": nn.ConvTranspose2d(4, 6, 3, dilation=2, bias=False),
    "weight norm": nn.utils.parametrizations.weight_norm(conv(4, 6)),
}


@pytest.mark.parametrize(
    ("name", "with_norm"), [(name, True) for name in GEOMETRY] + [("grouped", False), ("transposed", False)]
)
def test_convolutions(name: str, with_norm: bool) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.norm(m.layer(act(m.first(x))))))

    layer = GEOMETRY[name]
    width = layer.out_channels
    layers = {"first": conv(2, 4), "norm": batch_norm(width) if with_norm else nn.Identity(), "fc": nn.Linear(width, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, layer=layer, **layers)


@pytest.mark.parametrize("dimensions", [1, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_of_other_dimensions(dimensions: int, transposed: bool) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return m.fc(act(m.norm(m.layer(act(m.first(x))))).flatten(2).mean(2))

    make = getattr(nn, f"Conv{'Transpose' if transposed else ''}{dimensions}d")
    norm = getattr(nn, f"BatchNorm{dimensions}d")(6)
    nn.init.uniform_(norm.weight)
    layers = {"first": getattr(nn, f"Conv{dimensions}d")(2, 4, 3), "layer": make(4, 6, 3, stride=2), "norm": norm}
    check(lambda m, x: forward(m, x, F.relu), forward, (2, 2, *[9] * dimensions), fc=nn.Linear(6, 3), **layers)


ACTIVATIONS = {
    "LeakyReLU": nn.LeakyReLU(0.2),
    "PReLU": nn.PReLU(4),
    "ELU": nn.ELU(0.7),
    "SiLU": nn.SiLU(),
    "GELU": nn.GELU(),
    "GELU tanh": nn.GELU("tanh"),
    "Mish": nn.Mish(),
    "Hardswish": nn.Hardswish(),
    "LeakyReLU inplace": nn.LeakyReLU(0.2, inplace=True),
    "SiLU inplace": nn.SiLU(inplace=True),
    "SELU": nn.SELU(),
    "Tanh": nn.Tanh(),
    "Softshrink": nn.Softshrink(0.1),
    "clip": partial(torch.clip, min=-0.5, max=0.2),
    "absolute value": torch.abs,
}


@pytest.mark.parametrize("epsilon", [0.0, 0.05])
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_activations_by_the_stated_formula(activation: Activation, epsilon: float) -> None:
    """g f(u) / (u + ε sign u), for a convolution, the activation, and a dense layer."""
    network = Functional(lambda m, x: m.fc(m.act(m.conv(x)).flatten(1)), conv=conv(2, 4)).double()
    network.act = activation.double() if isinstance(activation, nn.Module) else activation
    network.fc = nn.Linear(4 * 36, 3).double()
    x = torch.randn(3, 2, 6, 6, dtype=torch.double)
    logits, relevance = LRP(network, epsilon)(x, 1)
    u = network.conv(x).detach()
    g = network.fc.weight[1].reshape(1, 4, 6, 6) * network.act(u.clone()) / (u + epsilon * u.sign())
    expected = x * F.conv_transpose2d(g, network.conv.weight, padding=1)
    assert torch.equal(logits, network(x.clone()))
    assert relative_error(relevance[:, 0], expected) < 1e-10


@pytest.mark.parametrize("operation", [F.silu, F.leaky_relu, F.gelu, nn.PReLU()])
def test_output_of_an_activation_changed_in_place(operation) -> None:
    """These activations do without their output in the backward pass, so torch allows to change it."""

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        out = operation(m.conv1(x))
        out += m.conv2(x)
        return head(m, out.relu())

    def plain(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return head(m, (operation(m.conv1(x)) + m.conv2(x)).relu())

    layers = {"conv1": conv(2, 4), "conv2": conv(2, 4), "fc": nn.Linear(4, 3)}
    x = torch.rand(2, 2, 8, 8)
    network = Functional(fancy, **layers)
    network(x).sum().backward()
    _, relevance = LRP(network)(x, "all")
    _, expected = LRP(Functional(plain, **layers))(x, "all")
    assert relative_error(relevance, expected) < 1e-6


@pytest.mark.parametrize("change", [torch.Tensor.relu_, lambda x: x.sub_(0.5)])
def test_network_that_changes_its_input_in_place(change) -> None:
    network = Functional(lambda m, x: head(m, F.relu(m.conv(change(x)))), conv=conv(2, 4), fc=nn.Linear(4, 3))
    twin = Functional(lambda m, x: head(m, F.relu(m.conv(change(x.clone())))), conv=network.conv, fc=network.fc)
    x = torch.randn(2, 2, 8, 8)
    network(x.clone()).sum().backward()
    _, expected = LRP(twin)(x, "all")
    _, relevance = LRP(network)(x.clone(), "all")
    assert relative_error(relevance, expected) < 1e-6


def test_activation_in_place_seen_by_a_detached_alias() -> None:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        out = m.conv(x)
        alias = out.detach()
        m.act(out)
        return head(m, out + alias)

    x = torch.randn(2, 2, 8, 8)
    for act, target in (
        (nn.ReLU(inplace=True), "all"),
        (nn.ReLU(inplace=True), "dual"),
        (nn.SiLU(inplace=True), "all"),
    ):
        network = Functional(forward, conv=conv(2, 4), act=act, fc=nn.Linear(4, 3))
        assert torch.equal(LRP(network, allow=["detach"])(x, target)[0], network(x)), (act, target)


def test_positive_pass_adds_nothing_negative_of_a_constant() -> None:
    """A positional embedding of either sign: the companion of x + p is x⁺ + p⁺, by hand for one weight of 2."""
    embedding = nn.Parameter(torch.tensor([[-1.0, 3.0]]))
    network = Functional(lambda m, x: m.fc((x + m.p).relu()), fc=nn.Linear(2, 1, bias=False))
    network.p = embedding
    with torch.no_grad():
        network.fc.weight.fill_(2.0)
    _, relevance = LRP(network, epsilon=0)(torch.tensor([[2.0, 1.0]]), "dual")
    # activations 1 and 4 explain 2 + 8; of these x has the shares 2/2 of 2 and 1/(1 + 3) of 8
    assert torch.allclose(relevance[0, 0], torch.tensor([2.0, 2.0]))


@pytest.mark.parametrize("change", [torch.Tensor.relu_, lambda v: v.mul_(3.0), lambda v: v.add_(1.0)])
def test_positive_pass_after_a_view_was_changed_in_place(change) -> None:
    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        u = m.conv1(x)
        change(u[:, :2])
        return head(m, m.conv2(m.norm(u).relu()).relu())

    def plain(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        u = m.conv1(x)
        u = torch.cat([change(u[:, :2].clone()), u[:, 2:]], 1)
        return head(m, m.conv2(m.norm(u).relu()).relu())

    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "norm": batch_norm(4), "fc": nn.Linear(4, 3)}
    x = torch.rand(2, 2, 8, 8, dtype=torch.double)
    maps = [LRP(Functional(forward, **layers).double().eval())(x, "dual")[1] for forward in (fancy, plain)]
    assert relative_error(maps[0][:, 0], maps[1][:, 0]) < 1e-10
    assert relative_error(maps[0][:, 1], maps[1][:, 1]) < 1e-10


SAME = {
    "maximum before the ReLU": (
        lambda m, x: F.max_pool2d(m.norm(m.conv1(x)), 2).relu(),
        lambda m, x: F.max_pool2d(m.norm(m.conv1(x)).relu(), 2),
    ),
    "maximum over channels before the ReLU": (
        lambda m, x: m.norm(m.conv1(x)).unflatten(1, (2, 2)).max(2).values.relu().repeat(1, 2, 1, 1),
        lambda m, x: m.norm(m.conv1(x)).relu().unflatten(1, (2, 2)).amax(2).repeat(1, 2, 1, 1),
    ),
    "what is contiguous already": (
        lambda m, x: m.norm(F.dropout(m.conv1(x).contiguous(), 0.5, training=False)).relu(),
        lambda m, x: m.norm(m.conv1(x)).relu(),
    ),
    "a convolution that goes into a norm and then elsewhere": (
        lambda m, x: branches(m.conv1(x), lambda u: m.norm(u).relu(), lambda u: u),
        lambda m, x: m.norm(m.conv1(x)).relu() + m.conv1(x),
    ),
    "a convolution that goes elsewhere and then into a norm": (
        lambda m, x: branches(m.conv1(x), torch.relu, lambda u: m.norm(u).relu()),
        lambda m, x: m.conv1(x).relu() + m.norm(m.conv1(x)).relu(),
    ),
}


def branches(u: torch.Tensor, *functions: Activation) -> torch.Tensor:
    return sum(f(u) for f in functions)


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_both_passes_through_two_ways_to_write_the_same(one, other) -> None:
    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "norm": batch_norm(4), "fc": nn.Linear(4, 3)}
    x, found = torch.rand(4, 2, 8, 8, dtype=torch.double), []
    for between in (one, other):
        network = Functional(lambda m, x, b=between: head(m, m.conv2(b(m, x)).relu()), **layers).double().eval()
        _, maps = LRP(network)(x, "dual", create_graph=True)
        _, of_rows = LRP(network)(x, "dual", rows=torch.tensor([3, 0]))
        gradients = torch.autograd.grad(maps.abs().pow(1.5).sum(), [*network.parameters()], materialize_grads=True)
        assert relative_error(of_rows, maps[[3, 0]]) < 1e-10
        found.append([maps, *gradients])
    for written, otherwise in zip(*found, strict=True):
        assert relative_error(written, otherwise) < 1e-9


def test_positive_relevance_of_a_convolution_before_a_norm() -> None:
    """Of a layer that is asked for, the map is that of its own output: without biases the relevance adds up there."""
    layers = {"conv": conv(2, 4, bias=False), "norm": batch_norm(4), "fc": nn.Linear(4, 3)}
    network = Functional(lambda m, x: head(m, m.norm(m.conv(x)).relu()), **layers).double().eval()
    nn.init.zeros_(network.norm.bias)
    network.norm.running_mean.zero_()
    x = torch.rand(2, 2, 8, 8, dtype=torch.double)
    expected = (network.norm(network.conv(x)).relu().mean((2, 3)) @ network.fc.weight.T.clamp(min=0)).sum(1)
    _, relevance = LRP(network, epsilon=0)(x, "dual", layers=["conv"])
    torch.testing.assert_close(relevance["conv"][:, 0].flatten(1).sum(1), expected.detach())
