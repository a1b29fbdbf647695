# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DenseNet, SEResNet50, ViT, resnet18

from monai_debias.overlays.guest import stage_names

EXAMPLES = {stage_names: {"network": DenseNet(2, 1, 2, init_features=4, growth_rate=2, block_config=(1, 1, 1))}}


def test_stages():
    assert stage_names(SEResNet50(spatial_dims=2, in_channels=1)) == ["layer1", "layer2", "layer3", "layer4"]
    network = resnet18(spatial_dims=2, n_input_channels=1)
    assert stage_names(torch.nn.DataParallel(network)) == ["layer1", "layer2", "layer3", "layer4"]
    assert set(stage_names(network)) <= {name for name, _ in network.named_modules()}
    transformer = ViT(1, 16, 8, hidden_size=24, mlp_dim=24, num_layers=4, num_heads=2, spatial_dims=2)
    assert stage_names(transformer) == [f"blocks.{i}" for i in range(4)]
    with pytest.raises(ValueError, match=r"modules of Sequential \(0, 1\) do not tell its stages: list three or more"):
        stage_names(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2)))
