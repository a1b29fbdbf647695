# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The authors' numbers, and a batch with heatmaps and masks, for the tests of what works on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

with np.load(Path(__file__).parents[1] / "reference" / "isnet_reference_plainnet.npz", allow_pickle=False) as file:
    REFERENCE = {key: torch.from_numpy(file[key]) for key in file.files}


def batch(
    n: int = 4, spatial: tuple[int, ...] = (6, 5), maps: int = 1, seed: int = 0, dtype: torch.dtype | None = None
):
    """Logits, labels, a heatmap and a mask with a box as the region."""
    generator = torch.Generator().manual_seed(seed)
    heatmap = torch.randn(n, maps, 2, *spatial, generator=generator, dtype=dtype) * 0.1
    mask = torch.zeros(n, 1, *spatial)
    mask[(slice(None), slice(None), *(slice(1, 4) for _ in spatial))] = 1
    return torch.randn(n, 3, generator=generator, dtype=dtype), torch.arange(n) % 3, heatmap, mask
