# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks whose training steps are timed and counted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.networks.nets import DenseNet121, EfficientNetBN, ResNet, ViT
from torch import nn

_PLANES = [64, 128, 256, 512]
_STEM = {"conv1_t_size": 7, "conv1_t_stride": 2}


def resnet18(n_classes: int, spatial_dims: int = 2) -> nn.Module:
    """MONAI's ResNet18 as it is mostly used: in 2-D with a stem of stride 2."""
    stem = _STEM if spatial_dims == 2 else {}
    return ResNet("basic", [2, 2, 2, 2], _PLANES, spatial_dims, n_input_channels=1, num_classes=n_classes, **stem)


def resnet50(n_classes: int) -> nn.Module:
    """MONAI's ResNet50 as it is mostly used in 2-D."""
    return ResNet("bottleneck", [3, 4, 6, 3], _PLANES, 2, n_input_channels=1, num_classes=n_classes, **_STEM)


class Logits(nn.Module):
    """MONAI's ViT, which returns hidden states beside the logits, by its logits alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, K)."""
        return self.network(x)[0]


def vit(size: int, n_classes: int) -> nn.Module:
    """A ViT of the size of ViT-S: 12 blocks, 384 channels, 6 heads."""
    sizes = {"hidden_size": 384, "mlp_dim": 1536, "num_layers": 12, "num_heads": 6, "spatial_dims": 2}
    return Logits(ViT(1, (size, size), (16, 16), classification=True, num_classes=n_classes, **sizes))


# by name, from the width of the images and the number of classes
NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "ResNet18": lambda _, n_classes: resnet18(n_classes),
    "DenseNet121": lambda _, n_classes: DenseNet121(2, 1, n_classes),
    "EfficientNet-B0": lambda _, n_classes: EfficientNetBN(
        "efficientnet-b0", False, in_channels=1, num_classes=n_classes
    ),
    "ViT-S": vit,
    "ResNet18, 3-D": lambda _, n_classes: resnet18(n_classes, spatial_dims=3),
    "ResNet50": lambda _, n_classes: resnet50(n_classes),
}
ON_TWO_CORES = ("ResNet18", "DenseNet121", "EfficientNet-B0", "ViT-S")
