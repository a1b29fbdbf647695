# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that are compiled, checkpointed, of half precision: relevance is that of the plain network."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable

import pytest
import torch
from monai.networks.blocks.activation_checkpointing import ActivationCheckpointWrapper
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import Functional, relative_error


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.SiLU()
    return nn.Sequential(*first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


def images() -> torch.Tensor:
    return torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))


def step(network: nn.Module, x: torch.Tensor, **options: object) -> list[torch.Tensor]:
    """Logits, relevance, and the gradients of a loss of both."""
    logits, relevance = LRP(network)(x, "all", create_graph=True, **options)
    relevance = relevance["0"] if options else relevance
    (logits.float().square().mean() + relevance.square().sum()).backward()
    return [logits.detach(), relevance.detach(), *(p.grad for p in network.parameters())]


def compiled_part() -> nn.Module:
    network = plain()
    return nn.Sequential(torch.compile(network[:3], backend="eager"), *network[3:])


def compiled_in_place() -> nn.Module:
    network = plain()
    network.compile(backend="eager")
    return network


COMPILED: dict[str, Callable[[], nn.Module]] = {
    "whole": lambda: torch.compile(plain(), backend="eager"),
    "a part": compiled_part,
    "in place": compiled_in_place,
}


@pytest.mark.parametrize("make", COMPILED.values(), ids=COMPILED)
def test_compiled(make) -> None:
    """Before and after the compiled code exists, which stays what it was."""
    expected, x = step(plain(), images()), images()
    for used_before in (False, True):
        network = make()
        if used_before:
            ordinary = network.eval()(x)
            network.train()
        for found, value in zip(step(network, x), expected, strict=True):
            assert torch.equal(found, value)
        torch.testing.assert_close(make().eval()(x), plain().eval()(x))
    network = make().eval()
    torch.testing.assert_close(network(x), ordinary)


def test_layers_of_a_compiled_network_have_their_own_names() -> None:
    _, relevance = LRP(torch.compile(plain(), backend="eager"))(images(), layers=["0"])
    assert torch.equal(relevance["0"], LRP(plain())(images(), layers=["0"])[1]["0"])


def seen_by_hooks() -> nn.Module:
    """As those who want a class activation map as well register them."""
    network = plain()
    network[0].register_full_backward_hook(lambda *_: None)
    network[3].register_forward_hook(lambda _, __, output: output.register_hook(lambda g: g) and None)
    network[5].register_full_backward_pre_hook(lambda *_: None)
    return network


def test_layers_that_are_made_in_the_first_pass() -> None:
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(ValueError, match=r"0\.weight, 0\.bias, 3\.weight, 3\.bias of Sequential .* once before"):
        LRP(network)(torch.rand(2, 1, 8, 8), "all")
    network(torch.rand(2, 1, 8, 8))
    assert LRP(network)(torch.rand(2, 1, 8, 8), "all")[1].shape == (2, 3, 1, 8, 8)


def test_hooks_of_gradients() -> None:
    for found, value in zip(step(seen_by_hooks(), images()), step(plain(), images()), strict=True):
        assert torch.equal(found, value)
    assert torch.equal(LRP(seen_by_hooks())(images(), "dual")[1], LRP(plain())(images(), "dual")[1])


class Checkpointed(nn.Module):
    def __init__(self, run: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.network, self.run = plain(), run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network[5:](self.run(self.network[1:5], self.network[0](x)))


CHECKPOINTS: dict[str, Callable[[nn.Module, torch.Tensor], torch.Tensor]] = {
    "reentrant": lambda part, x: checkpoint(part, x, use_reentrant=True),
    "not reentrant": lambda part, x: checkpoint(part, x, use_reentrant=False),
    "sequential": lambda part, x: checkpoint_sequential(part, 2, x, use_reentrant=False),
    "MONAI's wrapper": lambda part, x: ActivationCheckpointWrapper(part)(x),
}


@pytest.mark.parametrize("run", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpointed(run) -> None:
    for found, value in zip(step(Checkpointed(run), images()), step(plain(), images()), strict=True):
        assert torch.equal(found, value)


def test_checkpoints_of_another_thread_go_on() -> None:
    """The relevance pass of one thread does not switch off what saves another its memory."""
    inside, recomputed, counts = threading.Event(), threading.Event(), []

    def train() -> None:
        inside.wait(60)
        x = torch.ones(1, requires_grad=True)
        checkpoint(lambda v: counts.append(1) or v * v, x, use_reentrant=False).backward()
        recomputed.set()

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        inside.set()
        recomputed.wait(60)
        return m.fc(x.flatten(1))

    thread = threading.Thread(target=train)
    thread.start()
    LRP(Functional(forward, fc=nn.Linear(144, 3)))(images())
    thread.join()
    assert len(counts) == 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision(dtype, training) -> None:
    """They are explained in float32: what the same weights give in a network of float32."""
    half = plain().train(training).to(dtype)
    single = copy.deepcopy(half).float()
    (logits, relevance, *gradients), expected = step(half, images().to(dtype)), step(single, images().to(dtype).float())
    assert logits.dtype == relevance.dtype == torch.float32
    assert torch.equal(logits, expected[0])
    assert torch.equal(relevance, expected[1])
    resolution = torch.finfo(dtype).eps
    assert all(g.dtype == dtype for g in gradients)
    found, value = (torch.cat([g.flatten().float() for g in gs]) for gs in (gradients, expected[2:]))
    assert relative_error(found, value) < resolution
    assert half[1].running_mean.dtype == dtype
    torch.testing.assert_close(half[1].running_mean.float(), single[1].running_mean, rtol=resolution, atol=resolution)
    assert not training or half[1].running_mean.abs().max() > 0


def casting(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = m.network[:3](x).bfloat16().to(torch.float16)
    return m.network[3:](x.type_as(m.network[3].weight))


def under_autocast(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return m.network(x)


@pytest.mark.parametrize("forward", [casting, under_autocast])
def test_values_of_half_precision(forward) -> None:
    """Inside of the network; the relevance is that of float32 within the resolution of bfloat16 (1/128)."""
    _, expected = LRP(plain())(images(), "all")
    _, relevance = LRP(Functional(forward, network=plain()))(images(), "all")
    assert relevance.dtype == torch.float32
    assert 0 < relative_error(relevance, expected) < 4 / 128
