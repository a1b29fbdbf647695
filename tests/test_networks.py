# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks in their wrappers, and their layers by name."""

from __future__ import annotations

from threading import Thread

import pytest
import torch
from torch import nn

from monai_debias.networks import evaluating, find_layers, layer_outputs, unwrapped, without_compiler


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout()))


def test_every_wrapper_is_taken_off(network):
    parallel = nn.DataParallel(network)
    assert unwrapped(network) is network
    assert unwrapped(torch.compile(parallel)) is network
    assert unwrapped(nn.DataParallel(torch.compile(network))) is network
    assert without_compiler(torch.compile(parallel)) is parallel


def test_layers_are_found_by_their_names_in_the_network_itself(network):
    assert find_layers(nn.DataParallel(network), ["1.0", "0"]) == [network[1][0], network[0]]
    with pytest.raises(ValueError, match=r"no layers \['2'\]; it has 0, 1, 1.0, 1.1"):
        find_layers(network, ["0", "2"])


def test_outputs_are_kept_until_they_are_cleared_and_no_hook_stays(network):
    with layer_outputs(network, ["0", "1.0"], torch.clone) as outputs:
        network(torch.ones(4, 2))
        torch.testing.assert_close(outputs["0"].relu(), outputs["1.0"])
        with pytest.raises(ValueError, match="layer '0' must return one tensor, once"):
            network(torch.ones(4, 2))
        outputs.clear()
        network(torch.ones(5, 2))
    assert len(outputs["0"]) == 5
    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_that_did_not_run_is_named(network):
    with layer_outputs(network, ["1"], torch.clone) as outputs:
        network[0](torch.ones(4, 2))
    with pytest.raises(ValueError, match="layer '1' took no part in the forward pass"):
        outputs["1"]


def test_a_pass_of_another_thread_is_none_of_ours(network):
    with layer_outputs(network, ["0"], torch.clone) as outputs:
        other = Thread(target=network, args=(torch.ones(7, 2),))
        other.start()
        other.join()
        network(torch.ones(4, 2))
    assert len(outputs["0"]) == 4


def test_evaluation_gives_each_module_its_own_mode_back_even_after_an_error(network):
    network[1].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    before = [module.training for module in network.modules()]
    with pytest.raises(RuntimeError, match="shapes"), evaluating(network):
        network(torch.ones(4, 3))
    assert [module.training for module in network.modules()] == before
