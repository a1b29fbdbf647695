# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Relevance inside of a training: distributed, accumulated, in mixed precision, in threads, and without leaks."""

from __future__ import annotations

import contextlib
import copy
import gc
import threading
import weakref
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from monai.networks.nets import DenseNet
from torch import nn

from monai_debias.relevance import LRP
from tests.relevance import lrp_ddp
from tests.relevance.lrp_ddp import images, loss
from tests.relevance.lrp_helpers import Functional, relative_error


@pytest.fixture
def network() -> nn.Sequential:
    return lrp_ddp.network()


def gradients(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def step(network: nn.Module, x: torch.Tensor, target: object = "all", scale: float = 1.0) -> torch.Tensor:
    (scale * loss(*LRP(network)(x, target, create_graph=True))).backward()
    return gradients(network).clone()


def test_distributed_data_parallel(network, of_two_processes: Path) -> None:
    for target in lrp_ddp.TARGETS:
        network.zero_grad()
        expected = step(network, images(), target)
        for rank in range(2):
            for found in torch.load(of_two_processes / f"{target}_{rank}.pt", weights_only=True):
                assert relative_error(torch.cat([g.flatten() for g in found]), expected) < 1e-6, target


def test_wrapped_in_data_parallel_on_a_cpu(network) -> None:
    expected = LRP(network)(images(), "all")[1]
    assert torch.equal(LRP(nn.DataParallel(network))(images(), "all")[1], expected)


def test_accumulated_gradients_are_those_of_the_larger_batch(network) -> None:
    expected = step(copy.deepcopy(network), images())
    for part in images().chunk(2):
        found = step(network, part, scale=0.5)
    assert relative_error(found, expected) < 1e-10


def test_two_backward_passes_add_up(network) -> None:
    expected = step(copy.deepcopy(network), images())
    logits, relevance = LRP(network)(images(), "all", create_graph=True)
    logits.square().sum(1).mean().backward(retain_graph=True)
    relevance.abs().sum((1, 2, 3, 4)).log1p().mean().backward()
    assert relative_error(gradients(network), expected) < 1e-10


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("used", [False, True])
def test_logits_have_their_ordinary_gradients(training, used) -> None:
    """Also where relevance was asked for, and is not part of the loss or has no weight in it."""
    torch.manual_seed(0)
    network = DenseNet(2, 1, 3, init_features=8, growth_rate=4, block_config=(2, 2)).train(training)
    twin, x = copy.deepcopy(network), torch.rand(3, 1, 16, 16)
    twin(x).logsumexp(1).sum().backward()
    logits, relevance = LRP(network)(x, "selective", create_graph=True)
    (logits.logsumexp(1).sum() + (0 * relevance.sum() if used else 0)).backward()
    assert relative_error(gradients(network), gradients(twin)) < 1e-6


@pytest.mark.parametrize("create_graph", [False, True])
def test_autocast(network, create_graph) -> None:
    network, x = network.float(), images().float()
    expected = LRP(network)(x, "all")[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, relevance = LRP(network)(x, "all", create_graph=create_graph)
        _, of_half = LRP(network)(x.bfloat16(), "all", create_graph=create_graph)
        assert network(x).dtype == torch.bfloat16  # the ordinary forward pass is still cast afterwards
    assert logits.dtype == relevance.dtype == of_half.dtype == torch.float32
    assert 0 < relative_error(relevance, expected) < 0.1
    assert relative_error(of_half, expected) < 0.1
    if create_graph:
        loss(logits, relevance).backward()
        assert gradients(network).dtype == torch.float32


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode, contextlib.nullcontext])
@pytest.mark.parametrize("create_graph", [False, True])
def test_callers_without_gradients(network, caller, create_graph) -> None:
    expected = step(copy.deepcopy(network), images())
    with caller():
        x = images() + 0
        assert x.is_inference() == (caller is torch.inference_mode)
        logits, relevance = LRP(network)(x, "all", create_graph=create_graph)
        assert torch.is_grad_enabled() == (caller is contextlib.nullcontext)
    assert logits.requires_grad == relevance.requires_grad == create_graph
    assert not logits.is_inference()
    assert not relevance.is_inference()
    if create_graph:
        loss(logits, relevance).backward()
        assert relative_error(gradients(network), expected) < 1e-12
    assert all((p.grad is None) != create_graph for p in network.parameters())


def test_the_input_is_left_alone(network) -> None:
    x = images().requires_grad_()
    before, version = x.detach().clone(), x._version
    step(network, x)
    assert torch.equal(x, before)
    assert x._version == version
    assert x.grad is None


def test_frozen_parameters(network) -> None:
    expected = LRP(network)(images(), "all")[1]
    network[0].requires_grad_(False)
    network[1].requires_grad_(False)
    logits, relevance = LRP(network)(images(), "all", create_graph=True)
    assert torch.equal(relevance, expected)
    loss(logits, relevance).backward()
    assert [p.grad is None for p in network.parameters()] == [True] * 4 + [False] * 4
    network.requires_grad_(False)
    assert torch.equal(LRP(network)(images(), "all")[1], expected)


@pytest.mark.parametrize("shared", [False, True])
def test_two_threads_at_once(network, shared) -> None:
    networks = [network, network if shared else DenseNet(2, 1, 3, init_features=4, block_config=(1,)).double().eval()]
    inputs = [images(), images(2).flip(0)]
    expected = [
        LRP(n)(x, "all", layers=["0"] if n is network else [])[1] for n, x in zip(networks, inputs, strict=True)
    ]
    found: list[list] = [[], []]
    barrier = threading.Barrier(2)

    def explain(i: int) -> None:
        barrier.wait()
        for _ in range(20):
            layers = ["0"] if networks[i] is network else []
            found[i].append(LRP(networks[i])(inputs[i], "all", layers=layers, create_graph=True)[1])

    threads = [threading.Thread(target=explain, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results, right in zip(found, expected, strict=True):
        assert len(results) == 20
        for result in results:
            pairs = [(result[k], right[k]) for k in right] if isinstance(right, dict) else [(result, right)]
            assert all(torch.equal(a, b) for a, b in pairs)
    assert not any(m._forward_hooks for n in networks for m in n.modules())


def test_a_plain_forward_in_another_thread_is_plain(network) -> None:
    """While one thread explains, the same network in another thread takes operations that no rule covers."""
    inside, done = threading.Event(), threading.Event()

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if threading.current_thread() is threading.main_thread():
            inside.set()
            done.wait(10)
            return m.network(x)
        return m.network(x).exp()

    both = Functional(forward, network=network)
    results = []

    def plain() -> None:
        inside.wait(10)
        results.append(both(images()))
        done.set()

    thread = threading.Thread(target=plain)
    thread.start()
    LRP(both)(images(), "all")
    thread.join()
    assert torch.equal(results[0], network(images()).exp())


def test_two_networks_interleaved(network) -> None:
    first, second = network, nn.Sequential(*copy.deepcopy(list(network)))
    nn.init.normal_(second[0].weight)
    expected = [step(copy.deepcopy(n), images(), t) for n, t in ((first, "all"), (second, "selective"))]
    losses = [
        loss(*LRP(first)(images(), "all", create_graph=True)),
        loss(*LRP(second, 1e-2)(images(), "selective", create_graph=True)),
    ]
    for each in losses:
        each.backward()
    assert relative_error(gradients(first), expected[0]) < 1e-12
    assert relative_error(gradients(second), expected[1]) < 1e-12


def test_two_passes_through_one_network_before_their_backward_passes(network) -> None:
    expected = step(copy.deepcopy(network), images(), "all") + step(copy.deepcopy(network), images(2), "dual")
    losses = [
        loss(*LRP(network)(x, target, create_graph=True)) for x, target in ((images(), "all"), (images(2), "dual"))
    ]
    for each in reversed(losses):
        each.backward()
    assert relative_error(gradients(network), expected) < 1e-12


def test_an_error_inside_leaves_nothing_behind(network) -> None:
    failing = Functional(lambda m, x: m.network(x).exp(), network=network)
    expected = network(images())
    with pytest.raises(RuntimeError, match="exp"):
        LRP(failing)(images(), "all", layers=["network.0"])
    assert not any(m._forward_hooks for m in failing.modules())
    assert torch.equal(failing(images()), expected.exp())


@pytest.mark.parametrize("target", ["all", "dual"])
@pytest.mark.parametrize("make", ["sequential", "dense"])
def test_memory_is_released_although_the_prediction_is_kept(network, make, target) -> None:
    """A trainer keeps logits and heatmap in its output until the next batch: the activations must be gone by then."""
    if make == "dense":
        network = DenseNet(2, 1, 3, init_features=8, growth_rate=8, block_config=(3, 3)).double()
    x, activations = torch.rand(4, 1, 48, 48, dtype=torch.double), []
    hooks = [
        m.register_forward_hook(lambda _, __, out: activations.append(weakref.ref(out)))
        for m in network.modules()
        if isinstance(m, nn.ReLU | nn.Conv2d | nn.BatchNorm2d)
    ]
    gc.disable()  # released by counting references, not by the collector when it comes
    try:
        logits, relevance = LRP(network)(x, target, create_graph=True)
        prediction = {"logits": logits, "heatmap": relevance}
        assert any(reference() is not None for reference in activations)
        total = loss(logits, relevance)
        total.backward()
        assert not any(reference() is not None for reference in activations)
        assert prediction["heatmap"].grad_fn is not None
    finally:
        gc.enable()
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("target", ["all", "dual"])
def test_nothing_but_the_results_is_left_without_a_graph(network, target) -> None:
    def large_tensors() -> int:
        return sum(1 for o in gc.get_objects() if type(o) is torch.Tensor and o.numel() >= x.numel())

    x, more = torch.rand(4, 1, 48, 48, dtype=torch.double), []
    gc.collect()
    before = large_tensors()
    for _ in range(3):
        gc.collect()
        logits, relevance = LRP(network)(x, target)
        more.append(large_tensors() - before)
    assert more == [1, 1, 1]  # the relevance
    assert logits.shape == (4, 3)
    assert relevance.shape[0] == 4


def test_meta_tensors(network) -> None:
    x = MetaTensor(images(), meta={"filename_or_obj": "a"})
    logits, relevance = LRP(network)(x, torch.tensor([0, 1, 2, 0]), create_graph=True)
    _, expected = LRP(network)(images(), torch.tensor([0, 1, 2, 0]))
    assert type(logits) is type(relevance) is torch.Tensor
    assert torch.equal(relevance, expected)
    _, labelled = LRP(network)(x, MetaTensor(torch.tensor([0, 1, 2, 0])))
    assert type(labelled) is torch.Tensor
    assert torch.equal(labelled, expected)
    _, rows = LRP(network)(x, 0, rows=MetaTensor(torch.tensor([1])))
    assert type(rows) is torch.Tensor
