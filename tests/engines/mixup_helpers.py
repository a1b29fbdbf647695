# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A small network, samples with masks, and a mixup of them."""

from __future__ import annotations

import torch
from monai.data import MetaTensor
from torch import nn

from monai_debias.transforms.mix_batch_dictionary import MixBatchd


def make_network(norm: bool = False) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 3),
        )


def make_samples(n: int = 10) -> list[dict]:
    """The class is the brightness; 10 samples in batches of 4 end with one of 2."""
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": MetaTensor(torch.rand(1, 8, 7, generator=generator) + 2 * (i % 3), meta={"id": i}),
            "label": i % 3,
            "mask": (torch.rand(1, 8, 7, generator=generator) > 0.5).float(),
            "has_mask": i % 4 != 1,
        }
        for i in range(n)
    ]


def make_mixup(
    network: nn.Module, layers=("2", "3"), flow: str = "append", select: str = "all", **options
) -> MixBatchd:
    return MixBatchd("image", network=network, layers=layers, flow=flow, select=select, num_classes=3, **options)


def hooks(network: nn.Module) -> list[str]:
    own = [name for name, m in network.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    return own + ["global"] * len(nn.modules.module._global_forward_pre_hooks)
