# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Gates and denominators are constants of a relevance pass, however they are written.

Each is compared with the same network in which the gate or denominator is replaced by its detached value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import Activation, check, conv, head, relative_error

Between = Callable[[nn.Module, torch.Tensor], torch.Tensor]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def compare(fancy: Between, plain: Between, **layers: nn.Module) -> None:
    """What is between two convolutions, against the same with detached constants."""

    def around(between: Between, m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.conv2(between(m, act(m.conv1(x))))))

    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "fc": nn.Linear(4, 3), **layers}
    check(lambda m, x: around(fancy, m, x, F.relu), partial(around, plain), **layers)


def logit(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What becomes of a gate, (B, C, 1, 1)."""
    return m.gate(x.mean((2, 3)))[:, :, None, None]


GATES: dict[str, Between] = {
    "expand_as": lambda m, x: x * logit(m, x).sigmoid().expand_as(x),
    "view_as": lambda m, x: x * logit(m, x).sigmoid().view_as(x.mean((2, 3), keepdim=True)),
    "reshape_as": lambda m, x: x * logit(m, x).sigmoid().reshape_as(x[:, :, :1, :1]),
    "type_as": lambda m, x: x * logit(m, x).sigmoid().type_as(x),
    "to": lambda m, x: x * logit(m, x).sigmoid().to(x),
    "broadcast_tensors": lambda m, x: torch.mul(*torch.broadcast_tensors(x, logit(m, x).sigmoid())),
    "broadcast_to": lambda m, x: x * logit(m, x).sigmoid().broadcast_to(x.shape),
    "in place": lambda m, x: x * logit(m, x).sigmoid_(),
    "times a gate in place": lambda m, x: x.clone().mul_(logit(m, x).sigmoid()),
    "special.expit": lambda m, x: torch.special.expit(logit(m, x)) * x,
    "interpolation": lambda m, x: torch.lerp(torch.zeros_like(x), x, logit(m, x).sigmoid()),
    "of an operation without a rule": lambda m, x: x * (logit(m, x) + 0 * x.mean((2, 3), keepdim=True).exp()).sigmoid(),
}


@pytest.mark.parametrize("gated", GATES.values(), ids=GATES)
def test_squeeze_and_excitation(gated: Between) -> None:
    compare(gated, lambda m, x: x * logit(m, x).sigmoid().detach(), gate=nn.Linear(4, 4))


def test_parameters_that_borrow_a_shape_or_type() -> None:
    """They stay what is added, and do not take the input with them."""

    def borrowing(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return x + m.gate.weight[:, :1].view(1, 4, 1, 1).expand_as(x).type_as(x).to(x)

    compare(borrowing, lambda m, x: x + m.gate.weight[:, 0, None, None], gate=nn.Linear(4, 4))


def test_spatial_gate_of_maximum_and_mean() -> None:
    def gate(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(m.gate(torch.cat([x.max(1, keepdim=True)[0], x.mean(1, keepdim=True)], 1)))

    compare(lambda m, x: x * gate(m, x), lambda m, x: x * gate(m, x).detach(), gate=conv(2, 1))


def test_convolution_whose_kernel_attention_mixes() -> None:
    def mixed(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return (m.gate(x.mean((0, 2, 3))).softmax(0)[:, None, None, None, None] * m.kernels.weight[:, None]).sum(0)

    layers = {"gate": nn.Linear(4, 4), "kernels": conv(4, 4)}
    compare(
        lambda m, x: F.conv2d(x, mixed(m, x).expand(4, 4, 3, 3), padding=1),
        lambda m, x: F.conv2d(x, mixed(m, x).detach().expand(4, 4, 3, 3), padding=1),
        **layers,
    )


UNITS: dict[str, tuple[Between, Between]] = {
    "GLU": (lambda m, x: F.glu(m.two(x), 1), lambda m, x: m.two(x)[:, :4] * m.two(x)[:, 4:].sigmoid().detach()),
    "SwiGLU": (
        lambda m, x: (lambda a, b: a * F.silu(b))(*m.two(x).chunk(2, 1)),
        lambda m, x: m.two(x)[:, :4] * F.silu(m.two(x)[:, 4:]).detach(),
    ),
    "GEGLU": (
        lambda m, x: (lambda a, b: F.gelu(a) * b)(*m.two(x).chunk(2, 1)),
        lambda m, x: F.gelu(m.two(x)[:, :4]).detach() * m.two(x)[:, 4:],
    ),
    "GELU by hand": (
        lambda m, x: (lambda a: 0.5 * a * (1 + torch.erf(a / 2**0.5)))(m.two(x)[:, :4]),
        lambda m, x: m.two(x)[:, :4] * (0.5 + 0.5 * torch.erf(m.two(x)[:, :4] / 2**0.5)).detach(),
    ),
    "hard sigmoid of ReLU6": (
        lambda m, x: x * (F.relu6(m.two(x)[:, :4] + 3) / 6).view_as(x),
        lambda m, x: x * F.hardsigmoid(m.two(x)[:, :4]).detach(),
    ),
}


@pytest.mark.parametrize(("fancy", "plain"), UNITS.values(), ids=UNITS)
def test_gated_units(fancy: Between, plain: Between) -> None:
    compare(fancy, plain, two=conv(4, 8))


def channels_first(m: nn.Module, x: torch.Tensor, constant: bool) -> torch.Tensor:
    """The layer norm of ConvNeXt."""
    centered = x - x.mean(1, keepdim=True)
    deviation = torch.sqrt(centered.pow(2).mean(1, keepdim=True) + 1e-6)
    return m.scale.weight.view(4, 1, 1) * (centered / (deviation.detach() if constant else deviation))


def by_variance(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
    return m.scale.weight.view(4, 1, 1) * ((x - mean) * (variance + 1e-6).rsqrt())


def response(m: nn.Module, x: torch.Tensor, constant: bool) -> torch.Tensor:
    """Global response normalisation of ConvNeXt V2."""
    norm = x.norm(p=2, dim=(2, 3), keepdim=True)
    norm = norm.detach() if constant else norm
    return m.scale.weight.view(4, 1, 1) * (x * (norm / (norm.mean(1, keepdim=True) + 1e-6))) + x


def over_norm(_: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return x / x.detach().norm(dim=1, keepdim=True).clamp_min(1e-12)


def root_mean_square(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return F.rms_norm(x.permute(0, 2, 3, 1), (4,), m.scale.weight[0], 1e-6).permute(0, 3, 1, 2)


def root_mean_square_by_hand(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    squares = x.square().mean(1, keepdim=True) + 1e-6
    return x / squares.sqrt().detach() * m.scale.weight.view(4, 1, 1)


NORMALISATIONS: dict[str, tuple[Between, Between]] = {
    "channels first": (partial(channels_first, constant=False), partial(channels_first, constant=True)),
    "by variance": (by_variance, partial(channels_first, constant=True)),
    "permuted": (
        lambda m, x: F.layer_norm(x.permute(0, 2, 3, 1), (4,), m.scale.weight[0], None, 1e-6).permute(0, 3, 1, 2),
        partial(channels_first, constant=True),
    ),
    "response": (partial(response, constant=False), partial(response, constant=True)),
    "normalize": (lambda m, x: F.normalize(x), over_norm),
    "vector_norm": (lambda m, x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min(1e-12), over_norm),
    "rms_norm": (root_mean_square, root_mean_square_by_hand),
    "rms by hand": (
        lambda m, x: x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-6) * m.scale.weight.view(4, 1, 1),
        root_mean_square_by_hand,
    ),
}


@pytest.mark.parametrize(("fancy", "plain"), NORMALISATIONS.values(), ids=NORMALISATIONS)
def test_normalisations(fancy: Between, plain: Between) -> None:
    compare(fancy, plain, scale=nn.Linear(4, 1))


def tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


def attend(m: nn.Module, x: torch.Tensor, weights: bool) -> torch.Tensor:
    t = tokens(x)
    return m.attention(t, t, t, need_weights=weights)[0].transpose(1, 2).view_as(x)


def attend_by_hand(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    def heads(t: torch.Tensor) -> torch.Tensor:
        return t.unflatten(-1, (2, 2)).transpose(1, 2)

    q, k, v = F.linear(tokens(x), m.attention.in_proj_weight, m.attention.in_proj_bias).chunk(3, -1)
    constant = (heads(q) @ heads(k).transpose(-1, -2) / 2**0.5).softmax(-1).detach()
    out = (constant @ heads(v)).transpose(1, 2).flatten(2)
    return m.attention.out_proj(out).transpose(1, 2).view_as(x)


@pytest.mark.parametrize("weights", [True, False])
def test_multi_head_attention(weights: bool) -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    compare(partial(attend, weights=weights), attend_by_hand, attention=attention)


def test_causal_attention() -> None:
    def by_hand(_: nn.Module, x: torch.Tensor) -> torch.Tensor:
        scores = (x @ x.mT / 8**0.5).masked_fill(~torch.ones(8, 8, dtype=torch.bool).tril(), -torch.inf)
        return scores.softmax(-1).detach() @ x

    compare(lambda m, x: F.scaled_dot_product_attention(x, x, x, is_causal=True), by_hand)


ATTENDED: dict[str, tuple[Between, torch.Tensor | None]] = {
    "a mask for each sample": (lambda _, x: x, torch.linspace(-2, 2, 32, dtype=torch.double).view(4, 1, 1, 8)),
    "samples of which a row sees nothing": (
        lambda _, x: x,
        torch.arange(8)[:, None] > torch.arange(4).view(4, 1, 1, 1),
    ),
    "queries without a batch": (lambda m, _: m.gate.weight, None),
    "as many queries as samples": (lambda m, _: m.gate.weight.expand(4, 8, 8), None),
}


@pytest.mark.parametrize(("queries", "mask"), ATTENDED.values(), ids=ATTENDED)
def test_attention_of_what_is_the_same_for_all_samples_or_differs(queries: Between, mask: torch.Tensor | None) -> None:
    """Rows of a batch that are explained alone get their own part of it."""

    def by_hand(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        scores = queries(m, x) @ x.mT / 8**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e9) if mask.dtype == torch.bool else scores + mask
        weights = scores.softmax(-1).detach()
        return (weights if mask is None or mask.dtype != torch.bool else weights * mask) @ x

    def fused(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(queries(m, x), x, x, attn_mask=mask)

    compare(fused, by_hand, gate=nn.Linear(8, 8))


class Encoder(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout, F.gelu, batch_first=True, norm_first=True, bias=False)
        self.encoder, self.first = nn.TransformerEncoder(layer, 2), nn.Linear(2, 8, bias=False)
        self.fc = nn.Linear(8, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.encoder(self.first(tokens(x))).mean(1))


@pytest.mark.parametrize("caller", [torch.enable_grad, torch.no_grad])
def test_transformer_encoder_in_evaluation(caller) -> None:
    """Where torch has a fast path of its own: its logits up to rounding, and relevance that is conserved."""
    network, x = Encoder(0.1).double().eval(), torch.randn(4, 2, 3, 3, dtype=torch.double)
    with caller():
        expected = network(x)
        logits, relevance = LRP(network, 0)(x, "all")
    assert relative_error(logits, expected) < 1e-10
    assert relative_error(relevance.flatten(2).sum(2), logits) < 1e-10


def test_dropout_of_attention_weights() -> None:
    """In training the weights that are left are constants: relevance is conserved, and the same for the same seed."""
    network, x = Encoder(0.3).double().train(), torch.randn(4, 2, 3, 3, dtype=torch.double)
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        found.append(LRP(network, 0)(x, "all"))
    (logits, relevance), (again, _) = found
    assert torch.equal(logits, again)
    assert relative_error(relevance.flatten(2).sum(2), logits) < 1e-10
    assert not torch.equal(LRP(network, 0)(x, "all")[0], logits)
