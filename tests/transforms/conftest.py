# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""For the tests of hidden states: a network, images for it, and no hook left for the next test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module

from tests.transforms.armed import make_network


@pytest.fixture(name="network")
def fixture_network() -> nn.Sequential:
    return make_network()


@pytest.fixture(name="x")
def fixture_x() -> torch.Tensor:
    return torch.rand(4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def no_hook_of_all_modules_is_left() -> Iterator[None]:
    yield
    torch_module._global_forward_pre_hooks.clear()  # the test may have armed and not trained
