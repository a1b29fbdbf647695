# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch


def cohort(*spatial: int, n: int = 12, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, channels, *spatial, generator=generator) + 0.1  # nothing is black by itself
    masks = (torch.rand(n, 1, *spatial, generator=generator) > 0.6).float()
    masks.flatten(1)[:, 0] = 1
    return images, masks


def batches(images: torch.Tensor, masks: torch.Tensor, size: int = 5) -> list[dict[str, torch.Tensor]]:
    return [{"image": i, "mask": m} for i, m in zip(images.split(size), masks.split(size), strict=True)]
