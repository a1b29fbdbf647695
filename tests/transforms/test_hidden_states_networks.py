# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of all kinds that are mixed inside, and those that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets import EfficientNetBN, SEResNet50, ViT, densenet121, resnet18
from torch import nn

from monai_debias.transforms.hidden_states import arm
from monai_debias.transforms.mix_batch import MixBatch
from monai_debias.transforms.mixtures import Mixture, mix_rows
from tests.transforms.armed import LABEL, hooks, make_network, mix


class Odd(nn.Module):
    """Networks that do not give each state once, in turn, as one tensor with the batch first."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.shared, self.last = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)
        self.unused, self.tuple = nn.Linear(4, 4), nn.LSTM(4, 4, batch_first=True)
        self.transpose = nn.Flatten(0, 1)

    def forward(self, x: torch.Tensor):
        h = self.shared(self.first(x))
        if self.kind == "twice":
            h = self.shared(-h)
        if self.kind == "tuple":
            h = self.tuple(h[:, None])[0][:, 0]
        if self.kind == "transposed":
            h = self.transpose(h[:, None].repeat(1, 2, 1))[::2]
        if self.kind == "tuple out":
            return self.last(h), h
        if self.kind == "dict out":
            return {"logits": self.last(h), "state": h}
        return self.last(h)


@pytest.mark.parametrize(
    ("kind", "layers", "error", "message"),
    [
        ("twice", ("shared",), ValueError, "'shared' runs twice in one pass"),
        ("twice", ("shared", "last"), ValueError, "'shared' runs twice in one pass"),
        ("tuple", ("tuple",), TypeError, "'tuple' returns tuple, expected one tensor"),
        ("", ("last", "first"), ValueError, "'first' runs before 'last'.*in the order"),
        ("", ("unused",), ValueError, r"layers \['unused'\] took no part"),
        ("", ("first", "unused"), ValueError, r"layers \['unused'\] took no part"),
        ("transposed", ("transpose",), ValueError, "'transpose' has shape .*first dimension must be the batch"),
    ],
)
def test_states_that_cannot_be_mixed_are_refused(x, kind, layers, error, message):
    network = Odd(kind)
    plain = network.eval()(x)
    for flow in ("append", "replace"):
        mix(network.train(), x, layers, flow)
        with pytest.raises(error, match=message):
            network(x)
        assert hooks(network) == []
        assert torch.equal(network.eval()(x), plain)


def test_several_outputs(x):
    for kind in ("tuple out", "dict out"):
        network = Odd(kind)
        mixup = mix(network, x, ("first",))
        out = network(x)
        logits, state = (out["logits"], out["state"]) if isinstance(out, dict) else out
        first = network.first(x)
        joined = torch.cat([first, mix_rows(first, mixup.mixtures[0])]).relu()
        assert torch.allclose(state, joined)
        assert torch.allclose(logits, network.last(joined))


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_an_activation_in_place_behind_a_state_does_not_corrupt_it(x, flow):
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)).double()
    x = x.double()
    seen = []
    network[0].register_forward_hook(lambda *args: seen.append(args[2].detach().clone()))
    mixup = mix(network, x, ("0",), flow)
    out = network(x)
    hidden = x @ network[0].weight.T + network[0].bias
    assert torch.allclose(seen[0], hidden)
    mixed = mix_rows(hidden, mixup.mixtures[0])
    hidden = torch.cat([hidden, mixed]) if flow == "append" else mixed
    expected = hidden.relu() @ network[2].weight.T + network[2].bias
    assert torch.allclose(out, expected, atol=1e-12)
    found = torch.autograd.grad(out.square().sum(), list(network.parameters()))
    wanted = torch.autograd.grad(expected.square().sum(), list(network.parameters()))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, wanted, strict=True))


def test_a_frozen_part_and_hooks_of_the_user(network, x):
    calls = []
    handles = [network[2].register_forward_hook(lambda *a: calls.append(a[2].shape), always_call=True)]
    handles.append(network.register_forward_hook(lambda *a: calls.append(a[2].shape), always_call=True))
    network[:3].requires_grad_(False)
    network[1].eval()
    mix(network, x)
    network(x).sum().backward()
    assert calls == [(4, 5), (8, 3)]
    assert network[0].weight.grad is None
    assert network[3].weight.grad is not None
    for handle in handles:
        handle.remove()
    assert hooks(network) == []


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, torch.compile, torch.jit.script], ids=["DataParallel", "compile", "script"]
)
def test_networks_whose_hooks_do_not_run_are_refused(network, x, wrap):
    wrapped = wrap(network)
    for layer in ("2", "module.2"):
        with pytest.raises(TypeError, match="compiled or in DataParallel"):
            MixBatch.flow_mixup(wrapped, [layer], num_classes=3)
    assert hooks(network) == []


def test_a_network_compiled_in_place_is_refused(network, x):
    mixup = MixBatch.flow_mixup(network, ["2"], num_classes=3)
    network.compile(backend="eager")
    with pytest.raises(TypeError, match="compiled or in DataParallel"):
        mixup(x, LABEL)
    with pytest.raises(TypeError, match="compiled or in DataParallel"):
        mix(network, x)


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_autocast(x, flow):
    network = make_network(norm=False)
    mixup = mix(network, x, flow=flow)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = network(x)
    out.float().square().sum().backward()
    hidden = network[:3](x)
    mixed = mix_rows(hidden, mixup.mixtures[0])
    expected = network[3:](torch.cat([hidden, mixed]) if flow == "append" else mixed)
    assert out.dtype == torch.bfloat16
    assert torch.allclose(out.float(), expected, atol=0.02)
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (
            lambda: densenet121(spatial_dims=2, in_channels=1, out_channels=3),
            ["features.denseblock1", "features.norm5"],
        ),
        (lambda: resnet18(spatial_dims=2, n_input_channels=1, num_classes=3), ["act", "layer1.0", "layer3"]),
        (
            lambda: EfficientNetBN("efficientnet-b0", spatial_dims=2, in_channels=1, num_classes=3, pretrained=False),
            ["_blocks.0", "_blocks.2.3", "_blocks.6"],
        ),
        (lambda: SEResNet50(spatial_dims=2, in_channels=1, num_classes=3), ["layer1", "layer4"]),
        (
            lambda: ViT(1, (32, 32), (16, 16), 24, 24, 2, 2, classification=True, num_classes=3, spatial_dims=2),
            ["patch_embedding", "blocks.0", "norm"],
        ),
    ],
    ids=["DenseNet121", "ResNet18", "EfficientNet", "SEResNet50", "ViT"],
)
def test_stages_of_networks_of_monai(make, layers):
    network, image = make(), torch.rand(2, 1, 32, 32)
    mixup = MixBatch.flow_mixup(network, layers, num_classes=3).set_random_state(0)
    _, label = mixup(image, torch.tensor([0, 2]))
    out = network(image)
    logits = out[0] if isinstance(out, tuple) else out  # the ViT returns its hidden states, too
    assert logits.shape == label.shape == (2 * (1 + len(layers)), 3)
    assert len(logits.detach().unique(dim=0)) > 2
    assert hooks(network) == []


def test_the_states_are_those_of_the_first_rows_when_the_input_has_rows_appended(network, x):
    network[1] = nn.Identity()
    arm(network, [Mixture("2", 0.25, np.array([1, 0]))], n_samples=2, n_rows=4, append=True)
    out = network(x)
    hidden = network[:3](x)
    expected = network[3:](torch.cat([hidden, 0.25 * hidden[:2] + 0.75 * hidden[[1, 0]]]))
    assert torch.allclose(out, expected, atol=1e-6)
    arm(network, [], n_samples=2, n_rows=2, append=True)
    assert hooks(network) == []
