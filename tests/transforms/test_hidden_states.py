# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Passes of a network that is armed: mixed once in training, plain otherwise, and never with a hook left on it."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import warnings
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from monai.networks.nets import EfficientNetBN, SEResNet50, ViT, densenet121, resnet18
from torch import nn
from torch.nn.modules import module as torch_module

from monai_debias.transforms.hidden_states import _ARMED, arm, disarm
from monai_debias.transforms.mix_batch import MixBatch
from monai_debias.transforms.mixtures import Mixture, mix_rows

LABEL = torch.tensor([0, 1, 2, 0])


def make_network(norm: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    second = nn.BatchNorm1d(5) if norm else nn.Identity()
    return nn.Sequential(nn.Linear(4, 5), second, nn.Tanh(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.fixture(name="network")
def fixture_network() -> nn.Sequential:
    return make_network()


@pytest.fixture(name="x")
def fixture_x() -> torch.Tensor:
    return torch.rand(4, 4, generator=torch.Generator().manual_seed(1))


def hooks(network: nn.Module) -> list[str]:
    """Modules that carry a forward hook, and "global" for those of all modules."""
    own = [name for name, m in network.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    return own + ["global"] * len(torch_module._global_forward_pre_hooks | torch_module._global_forward_hooks)


@pytest.fixture(autouse=True)
def no_hook_of_all_modules_is_left() -> Iterator[None]:
    yield
    torch_module._global_forward_pre_hooks.clear()  # the test may have armed and not trained


def mix(network: nn.Module, x: torch.Tensor, layers: tuple[str, ...] = ("2",), flow: str = "append") -> MixBatch:
    mixup = MixBatch(network, layers, flow=flow, num_classes=3).set_random_state(0)
    mixup(x, torch.arange(len(x)) % 3)
    return mixup


def test_rows_are_mixed_by_weight_and_order():
    rows = torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]])
    mixed = mix_rows(rows, Mixture("layer", 0.75, np.array([2, 0, 1])))
    assert torch.equal(mixed, torch.tensor([[5.0, 6.0], [7.5, 8.5], [17.5, 18.5]]))


def test_one_training_pass_is_mixed_and_the_network_carries_no_hook(network, x):
    keys, twin = list(network.state_dict()), copy.deepcopy(network)
    mixup = mix(network, x)
    own = [name for name in hooks(network) if name != "global"]
    assert own == []
    assert hooks(network) == ["global"]
    assert network(x).shape == (8, 3)
    assert hooks(network) == []
    twin(x)
    twin[1].load_state_dict(network[1].state_dict())
    assert torch.equal(network(x), twin(x))
    assert list(network.state_dict()) == keys
    assert not disarm(mixup.network)


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_evaluation_is_bit_identical_while_armed(network, x, flow):
    plain = network.eval()(x)
    mix(network, x, flow=flow)
    assert torch.equal(network(x), plain)
    with torch.no_grad():
        assert torch.equal(network(x), plain)
    with torch.inference_mode():
        assert torch.equal(network(x), plain)
    network.train()
    twin = copy.deepcopy(network)
    with torch.no_grad():
        assert torch.equal(network(x), twin(x))
    assert network in _ARMED  # the pass that is to be mixed is still to come
    out = network(x)
    assert out.shape == ((8, 3) if flow == "append" else (4, 3))
    twin[1].load_state_dict(network[1].state_dict())
    assert not torch.allclose(out[-4:], twin(x), atol=1e-4)


def test_scripts_traces_and_exports_of_an_armed_network_are_plain(network, x):
    plain = network.eval()(x)
    mix(network, x)
    assert torch.equal(torch.jit.script(network)(x), plain)
    assert torch.equal(torch.jit.trace(network, x)(x), plain)
    assert torch.equal(torch.export.export(network, (x,)).module()(x), plain)
    assert network in _ARMED
    assert torch.jit.script(network.train())(x).shape == (4, 3)
    assert network(x).shape == (8, 3)


def test_copies_and_saved_networks_are_not_armed(network, x):
    mix(network, x)
    buffer = io.BytesIO()
    torch.save(network, buffer)
    buffer.seek(0)
    copies = [copy.deepcopy(network), pickle.loads(pickle.dumps(network))]  # noqa: S301
    copies.append(torch.load(buffer, weights_only=False))
    for copied in copies:
        assert copied(x).shape == (4, 3)
    assert network(x).shape == (8, 3)


def test_copies_of_the_transform_arm_a_network_of_their_own(network, x):
    mixup = mix(network, x)
    for copied in (copy.deepcopy(mixup), pickle.loads(pickle.dumps(mixup))):  # noqa: S301
        assert copied.network is not network
        assert copied.network(x).shape == (4, 3)
        image, label = copied(x, LABEL)
        expected = copy.deepcopy(mixup).R.random_sample()
        assert (image.shape, label.shape) == ((4, 4), (8, 3))
        assert copied.network(x).shape == (8, 3)
        copied_again = copy.deepcopy(mixup)
        assert copied_again.R.random_sample() == expected
    assert network(x).shape == (8, 3)


def test_disarm(network, x):
    mixup = mix(network, x)
    mixup.disarm()
    mixup.disarm()
    assert hooks(network) == []
    assert network(x).shape == (4, 3)


class ErrorOnce(nn.Module):
    """Raise an error in the first pass."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error, self.done = error, False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.done:
            self.done = True
            raise self.error("in the pass")
        return x


@pytest.mark.parametrize(
    ("flow", "position", "error"),
    [
        ("append", 0, RuntimeError),
        ("replace", 3, RuntimeError),
        ("append", 6, RuntimeError),
        ("replace", 0, KeyboardInterrupt),
        ("append", 3, KeyboardInterrupt),
        ("replace", 6, KeyboardInterrupt),
    ],
)
def test_an_error_in_the_pass_leaves_a_plain_network(network, x, flow, position, error):
    plain = network.eval()(x)
    modules = list(network.train())
    network = nn.Sequential(*modules[:position], ErrorOnce(error), *modules[position:])
    layers = ("2" if position > 2 else "3",)
    mixup = mix(network, x, layers, flow)
    statistics = copy.deepcopy(network.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a hook that fails, too, is one
        with pytest.raises(error, match="in the pass"):
            network(x)
    if error is RuntimeError:
        assert hooks(network) == []
    network.load_state_dict(statistics)
    assert torch.equal(network.eval()(x), plain)
    assert hooks(network) == []
    assert network.train()(x).shape == (4, 3)
    mixup(x, LABEL)
    assert network(x).shape == ((8, 3) if flow == "append" else (4, 3))
    assert hooks(network) == []


def test_an_error_in_arming_leaves_a_plain_network(network, x):
    for layers in (("2", "nowhere"), ("nowhere",)):
        with pytest.raises(ValueError, match=r"no layers \['nowhere'\]; it has 0, 1, 2"):
            mix(network, x, layers)
        assert hooks(network) == []
        assert network(x).shape == (4, 3)


def test_a_network_that_is_gone_leaves_nothing(x):
    for trained in (False, True):
        network = make_network()
        mixup = mix(network, x)
        if trained:
            network(x)
        alive = weakref.ref(network), weakref.ref(network[2])
        del mixup, network
        gc.collect()
        assert [one() for one in alive] == [None, None]
        assert hooks(nn.Identity()) == []
        assert len(_ARMED) == 0


def test_training_leaves_nothing_behind(network, x):
    mixup = mix(network, x)
    network(x)
    gc.collect()
    before = len(weakref.finalize._registry), len(gc.get_objects())
    for _ in range(100):
        mixup(x, LABEL)
        network(x)
    gc.collect()
    assert len(weakref.finalize._registry) == before[0]
    assert len(gc.get_objects()) < before[1] + 100


def test_a_second_transform_takes_the_place_of_the_first(network, x):
    network[1] = nn.Identity()
    first = MixBatch.manifold_mixup(network, ["2"], num_classes=3).set_random_state(0)
    second = MixBatch.manifold_mixup(network, ["2"], num_classes=3).set_random_state(1)
    first(x, LABEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        second(x, LABEL)
    expected = network[3:](mix_rows(network[:3](x), second.mixtures[0]))
    assert torch.allclose(network(x), expected, atol=1e-6)
    assert network(x).shape == (4, 3)
    assert hooks(network) == []


def test_only_the_armed_network_is_mixed(network, x):
    other = nn.Sequential(network[2], nn.Linear(4, 3))  # has one module in common
    mix(network, x)
    assert other(x).shape == (4, 3)
    assert network[:3](x).shape == (4, 5)  # its own modules on their own, too
    assert network(x).shape == (8, 3)
    whole = nn.Sequential(network, nn.Softmax(1))  # a part of another one
    mix(network, x)
    assert whole(x).shape == (8, 3)


def test_a_copy_that_is_trained_instead_is_warned_of(network, x):
    mixup, trained = MixBatch.flow_mixup(network, ["2"], num_classes=3), copy.deepcopy(network)
    mixup(x, LABEL)
    trained(x)
    with pytest.warns(UserWarning, match="is it a copy of the network that is trained"):
        mixup(x, LABEL)
    network(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixup(x, LABEL)
        mixup.disarm()
        mixup(x, LABEL)
        network(x)


def test_another_batch_than_the_mixed_one_is_refused(network, x):
    mix(network, x)
    with pytest.raises(ValueError, match=r"batch of 4 rows, but the network is given one of \[3\]"):
        network(x[:3])
    assert hooks(network) == []
    assert network(x[:3]).shape == (3, 3)

    class Keyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = make_network()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.body(image)

    keyword = Keyword()
    mixup = mix(keyword, x, ("body.2",))
    with pytest.raises(ValueError, match=r"expected 4 rows"):
        keyword(image=x[:3])
    assert hooks(keyword) == []
    mixup(x, LABEL)
    assert keyword(image=x).shape == (8, 3)


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
