# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is explained, and what is said about input that cannot be."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from monai.networks.nets import DenseNet121
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP, UncoveredOperationError, eta, explained_scalars
from tests.relevance.lrp_helpers import Functional, relative_error

EXAMPLES = {
    eta: {"logits": torch.tensor([[1.0, 2.0], [0.5, -1.0]]), "classes": torch.tensor([0, 1])},
    explained_scalars: {"logits": torch.tensor([[1.0, 2.0], [0.5, -1.0]]), "target": "selective"},
}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(4, 3)).eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_eta_by_hand() -> None:
    # p = (1/4, 3/4)
    logits = torch.tensor([[0.0, math.log(3)]]).expand(2, 2)
    expected = [math.log(0.26) - math.log(0.76), math.log(0.76) - math.log(0.26)]
    torch.testing.assert_close(eta(logits, torch.tensor([0, 1])), torch.tensor(expected))


def test_scalars() -> None:
    logits = torch.tensor([[1.0, -2.0, 4.0], [0.0, 3.0, -1.0]])
    labels = torch.tensor([2, 0])
    assert explained_scalars(logits, 1).tolist() == [[-2.0], [3.0]]
    assert explained_scalars(logits, torch.tensor(1)).tolist() == [[-2.0], [3.0]]
    assert explained_scalars(logits, labels).tolist() == [[4.0], [0.0]]
    assert torch.equal(explained_scalars(logits, labels.int()), explained_scalars(logits, labels))
    assert torch.equal(explained_scalars(logits, "all"), logits)
    assert torch.equal(explained_scalars(logits, "selective")[:, 0], eta(logits, torch.tensor([1, 2])))
    assert torch.equal(explained_scalars(logits, ("selective", labels))[:, 0], eta(logits, labels))
    assert explained_scalars(logits, lambda z: z[:, 0] - z[:, 1]).tolist() == [[3.0], [-3.0]]
    assert explained_scalars(logits, lambda z: z[:, :2] * 2).tolist() == [[2.0, -4.0], [0.0, 6.0]]


def test_stochastic_draws_the_highest_half_of_the_time_and_else_all_others_alike() -> None:
    logits = torch.tensor([1.0, 4.0, 2.0, 3.0]).repeat(4000, 1)
    torch.manual_seed(0)
    drawn = explained_scalars(logits, "stochastic")
    share = {value: (drawn == value).double().mean().item() for value in (1.0, 2.0, 3.0, 4.0)}
    assert share == pytest.approx({1.0: 1 / 6, 2.0: 1 / 6, 3.0: 1 / 6, 4.0: 0.5}, abs=0.03)
    torch.manual_seed(0)
    assert torch.equal(explained_scalars(logits, "stochastic"), drawn)


def test_the_relevance_of_each_target_is_that_of_its_scalars(network, x) -> None:
    labels = torch.tensor([2, 0, 1, 1])
    lrp = LRP(network)
    logits, every = lrp(x, "all")
    assert every.shape == (4, 3, 1, 8, 8)
    chosen = every[torch.arange(4), labels][:, None]
    torch.testing.assert_close(lrp(x, labels)[1], chosen)
    torch.testing.assert_close(lrp(x, 2)[1], every[:, 2:])
    torch.testing.assert_close(lrp(x, lambda z: z)[1], every)
    torch.testing.assert_close(lrp(x, lambda z: z[:, 0] - 2 * z[:, 1])[1][:, 0], every[:, 0] - 2 * every[:, 1])
    for target, classes in (("selective", logits.argmin(1)), (("selective", labels), labels)):
        slope = logits.clone().requires_grad_()
        eta(slope, classes).sum().backward()
        expected = (every * slope.grad[:, :, None, None, None]).sum(1, keepdim=True)
        torch.testing.assert_close(lrp(x, target)[1], expected)
    torch.manual_seed(3)
    stochastic = lrp(x, "stochastic")[1]
    assert all(any(torch.allclose(s[0], e) for e in every[i]) for i, s in enumerate(stochastic))
    assert lrp(x, "dual")[1].shape == (4, 2, 1, 8, 8)
    assert torch.equal(lrp(x)[1], lrp(x, "selective")[1])


def test_rows(network, x) -> None:
    labels = torch.tensor([2, 0, 1, 1])
    rows = torch.tensor([3, 0])
    for target in (labels, "all", "selective", ("selective", labels), "dual", lambda z: z[:, 0]):
        logits, relevance = LRP(network)(x, target, rows=rows)
        assert logits.shape == (4, 3)
        assert relative_error(relevance, LRP(network)(x, target)[1][rows]) < 1e-6


def test_bare_logits_of_a_linear_network(x) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    _, relevance = LRP(network)(x, "all")
    expected = x[:, None] * network[1].weight.detach().reshape(1, 3, 1, 8, 8).sum(2, keepdim=True)
    torch.testing.assert_close(relevance, expected)


class Wrong(nn.Module):
    def __init__(self, network: nn.Module, change) -> None:
        super().__init__()
        self.network, self.change = network, change

    def forward(self, x: torch.Tensor) -> object:
        return self.change(self.network(x))


class Named(NamedTuple):
    features: torch.Tensor
    logits: torch.Tensor


OUTPUTS = {
    "tuple": (lambda z: (z, []), 0),
    "list": (lambda z: [None, z], -1),
    "dictionary": (lambda z: {"loss": z.exp(), "logits": z}, "logits"),
    "named tuple": (lambda z: Named(z.exp(), z), "logits"),
    "place in a named tuple": (lambda z: Named(z.exp(), z), 1),
    "attribute": (lambda z: SimpleNamespace(logits=z), "logits"),
}


@pytest.mark.parametrize(("change", "output"), OUTPUTS.values(), ids=OUTPUTS)
def test_logits_among_other_outputs(network, x, change, output) -> None:
    logits, expected = LRP(network)(x)
    found, relevance = LRP(Wrong(network, change), output=output)(x)
    assert torch.equal(found, logits)
    assert torch.equal(relevance, expected)


@pytest.mark.parametrize("change", [o[0] for o in OUTPUTS.values()], ids=OUTPUTS)
def test_network_that_does_not_return_a_tensor(network, x, change) -> None:
    kind = type(change(torch.zeros(1))).__name__
    with pytest.raises(TypeError, match=rf"Wrong returned {kind}, expected a tensor of logits.*output=.*wrap"):
        LRP(Wrong(network, change))(x)


@pytest.mark.parametrize(
    ("change", "output", "message"),
    [
        (lambda z: z, 0, "returned Tensor without an output 0; e.g. output=None"),
        (lambda z: (z,), 1, "returned tuple without an output 1"),
        (
            lambda z: {"a": z, "b": z},
            "logits",
            "returned dict without an output 'logits'; e.g. output='a' or output='b'",
        ),
        (lambda z: (z,), "logits", "returned tuple without an output 'logits'; e.g. output=0"),
        (lambda z: None, 0, "returned NoneType without an output 0"),
        (lambda z: ([z],), 0, "output 0 of Wrong is list, expected a tensor"),
    ],
)
def test_output_that_does_not_exist(network, x, change, output, message) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LRP(Wrong(network, change), output=output)(x)


@pytest.mark.parametrize("change", [lambda z: z[:, :, None], lambda z: z.sum(), lambda z: z[:, 0], lambda z: z[:2]])
def test_network_that_does_not_return_logits(network, x, change) -> None:
    with pytest.raises(ValueError, match=r"returned shape .*expected logits \(B, K\)"):
        LRP(Wrong(network, change))(x)


@pytest.mark.parametrize(
    "change",
    [torch.Tensor.detach, torch.Tensor.round, torch.zeros_like, lambda z: torch.rand(len(z), 3)],
    ids=["detach", "round", "constant", "random"],
)
def test_no_path_from_input_to_logits(network, x, change) -> None:
    with pytest.raises((ValueError, RuntimeError), match=r"without a gradient|no relevance rule|do not depend on"):
        LRP(Wrong(network, change))(x)


def test_no_path_inside_of_the_network(x) -> None:
    network = Functional(lambda m, x: m.fc(m.conv(x).detach().relu().mean((2, 3))), conv=nn.Conv2d(1, 4, 3))
    network.fc = nn.Linear(4, 3)
    with pytest.raises(UncoveredOperationError, match="detach returns a tensor without a gradient"):
        LRP(network)(x)
    network.function = lambda m, x: m.fc(F.sigmoid(m.conv(x)).mean((2, 3)))
    with pytest.raises(UncoveredOperationError, match="sigmoid makes a gate"):
        LRP(network)(x)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.complex64])
def test_input_that_is_not_floating_point(network, dtype) -> None:
    with pytest.raises(TypeError, match=rf"floating-point input, got {dtype}.*x\.float\(\)"):
        LRP(network)(torch.ones(2, 1, 8, 8, dtype=dtype))


def test_input_that_is_no_batch_of_tensors(network, x) -> None:
    with pytest.raises(TypeError, match="ndarray"):
        LRP(network)(x.numpy())
    with pytest.raises(ValueError, match=r"batch \(B, C, spatial"):
        LRP(network)(x[:0])
    with pytest.raises(ValueError, match=r"batch \(B, C, spatial"):
        LRP(network)(x[0, 0, 0])
    with pytest.raises(ValueError, match=r"batch \(B, C, spatial"):
        LRP(network)(x[0])


@pytest.mark.parametrize("target", ["stochastic", "selective"])
def test_one_class(x, target) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    with pytest.raises(ValueError, match=rf'target="{target}".*one logit.*target=0'):
        LRP(network)(x, target)
    assert LRP(network)(x, 0)[1].shape == (4, 1, 1, 8, 8)


@pytest.mark.parametrize("target", ["Selective", "lowest", None, True, 1.5, ("selective",), ("stochastic", 1), ["all"]])
def test_unknown_target(network, x, target) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=r"unknown target .*\"selective\"|target is .*'dual' or .*'selective'"
    ):
        LRP(network)(x, target)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, r"0 … 2, got 3 … 3"),
        (-1, r"target is -1, expected .* an integer in \[0, inf\)"),
        (torch.tensor([0, 1, 2, 3]), r"0 … 2, got 0 … 3"),
        (torch.tensor([0, 1]), r"integers of shape \(4,\).*\(2,\)"),
        (torch.zeros(4), r"integers of shape \(4,\), got torch.float32"),
        (torch.zeros(4, dtype=torch.bool), "torch.bool"),
        (torch.zeros(4, 1, dtype=torch.long), r"\(4, 1\)"),
        (("selective", torch.tensor([0, 1, 2, 3])), r"0 … 2"),
        (lambda z: z.sum(), r"target function returned shape \(\).*\(4, 3\)"),
        (lambda z: z[:2], r"target function returned shape \(2, 3\)"),
        (lambda z: z[..., None], r"target function returned shape"),
    ],
)
def test_target_that_does_not_fit(network, x, target, message) -> None:
    with pytest.raises(ValueError, match=message):
        LRP(network)(x, target)


def test_target_function_without_a_path_to_the_logits(network, x) -> None:
    with pytest.raises(ValueError, match="target"):
        LRP(network)(x, lambda z: z.detach()[:, 0])
    with pytest.raises((TypeError, ValueError), match="target"):
        LRP(network)(x, lambda z: [1.0] * len(z))


def test_unknown_layer_lists_those_that_exist() -> None:
    network = DenseNet121(2, 1, 3)
    with pytest.raises(ValueError, match=r"no layers \['layer1'\].*features\.denseblock1, .*class_layers\.out"):
        LRP(network)(torch.rand(2, 1, 32, 32), layers=["features", "layer1"])
    with pytest.raises(ValueError, match="no layers"):
        LRP(network)(torch.rand(2, 1, 32, 32), layers=[""])


def test_layer_that_has_no_relevance(x) -> None:
    network = Functional(lambda m, x: m.fc(m.conv(x).relu().mean((2, 3))), conv=nn.Conv2d(1, 4, 3), spare=nn.ReLU())
    network.fc = nn.Linear(4, 3)
    with pytest.raises(ValueError, match="spare"):
        LRP(network)(x, layers=["spare"])
    inplace = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 3))
    _, maps = LRP(inplace)(x, layers=["1", "2"])
    assert maps["1"].shape == (4, 1, 4, 6, 6)
    twice = Functional(lambda m, x: m.fc(m.conv(m.conv(x)).flatten(1)), conv=nn.Conv2d(1, 1, 3, padding=1))
    twice.fc = nn.Linear(64, 3)
    with pytest.raises(ValueError, match="'conv' must return one tensor, once"):
        LRP(twice)(x, layers=["conv"])


@pytest.mark.parametrize("target", ["all", "dual"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU])
def test_layer_in_front_of_an_activation_in_place(x, activation, target) -> None:
    """Never the relevance of another tensor than the one that left the module: that one's, or an error."""
    torch.manual_seed(0)
    inplace = nn.Sequential(nn.Conv2d(1, 4, 3), activation(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 3)).double()
    beside = nn.Sequential(inplace[0], activation(), *inplace[2:])
    _, expected = LRP(beside)(x.double(), target, layers=["0"])
    message = ""
    try:
        _, found = LRP(inplace)(x.double(), target, layers=["0"])
    except ValueError as error:
        message = str(error)
    assert "layer '0' is changed in place" in message or relative_error(found["0"], expected["0"]) < 1e-10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": -0.1}, r"epsilon is -0\.1, expected a number in \[0, inf\)"),
        ({"input_rule": "zB"}, "input_rule is 'zB', expected None or 'zb'"),
        ({"input_rule": "zb", "input_range": (1.0, 0.0)}, "input_range must be"),
    ],
)
def test_constructor(network, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        LRP(network, **arguments)


def test_zb_needs_its_range(network, x) -> None:
    with pytest.raises(ValueError, match=r"inputs in \(0.0, 1.0\), got values in \[-.*input_range"):
        LRP(network, input_rule="zb")(x - 1)
    with pytest.raises(ValueError, match="input_range"):
        LRP(network, input_rule="zb")(x.clone().fill_(math.nan))
    assert LRP(network, input_rule="zb", input_range=(-1, 0))(x - 1)[1].isfinite().all()
    with pytest.raises(ValueError, match="dual"):
        LRP(network, input_rule="zb")(x, "dual")


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.fc(m.conv(x.relu()).relu().mean((2, 3))),
        lambda m, x: m.fc(m.conv(2 * x).relu().mean((2, 3))),
        lambda m, x: m.fc(m.conv(x).mean((2, 3)).relu()),
        lambda m, x: m.fc(m.conv(x).relu().mean((2, 3)) + x.mean((1, 2, 3))[:, None]),
        lambda m, x: m.fc((m.conv(x).relu() + m.conv(x)).mean((2, 3))),
        lambda m, x: (lambda y: m.fc((y.relu() + y).mean((2, 3))))(m.conv(x)),
        lambda m, x: m.fc(m.conv(x).mean((2, 3))),
    ],
)
def test_zb_needs_a_first_layer_and_an_activation(x, forward) -> None:
    network = Functional(forward, conv=nn.Conv2d(1, 4, 3), fc=nn.Linear(4, 3))
    with pytest.raises(ValueError, match="zB rule needs a network that begins with"):
        LRP(network, input_rule="zb")(x)


@pytest.mark.parametrize(
    "rows", [torch.tensor([4]), torch.tensor([-1]), torch.tensor([1, 1]), torch.tensor([True] * 4), torch.tensor([0.0])]
)
def test_rows_that_are_not_distinct_indices_of_the_batch(network, x, rows) -> None:
    with pytest.raises((ValueError, TypeError, IndexError), match="rows"):
        LRP(network)(x, rows=rows)
