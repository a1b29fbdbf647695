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

import pytest
import torch
from torch import nn

from monai_debias.transforms.hidden_states import _ARMED, disarm
from monai_debias.transforms.mix_batch import MixBatch
from monai_debias.transforms.mixtures import mix_rows
from tests.transforms.armed import LABEL, hooks, make_network, mix


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
