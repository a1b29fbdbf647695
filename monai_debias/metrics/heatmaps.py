# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of heatmaps and their regions of interest, and the attention that all attention metrics start from."""

from __future__ import annotations

import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor

from monai_debias.masks import as_region, pool_mask, require_aspect
from monai_debias.origin import file_names

__all__ = ["attention_at"]


def attention_at(relevance: NdarrayOrTensor, mask: NdarrayOrTensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of each position, Σ|R| over the channels, and whether the position lies in the region of interest.

    A mask of another size than the map, but of the same aspect ratio, is average-pooled to it, and every value above 0
    counts as region of interest, as in the ISNet loss.

    Args:
        relevance: heatmaps R, shape (R, maps, C, spatial...) or (R, C, spatial...); which of the two follows from
            the number of dimensions of ``mask``. Any number of spatial dimensions; up to 3 where the mask is pooled.
        mask: region of interest M of each row, shape (R, 1, spatial...), 1 = region of interest, 0 = background.

    Returns:
        Attention, shape (R, maps, positions) or (R, positions), relative to the largest |R| of its map, and M as
        booleans, shape (R, 1, positions) or (R, positions); both on the device of ``relevance``.

    Raises:
        ValueError: when shapes do not fit, when relevance is NaN or infinite, when a map is 0 everywhere, or when a
            mask has values other than 0 and 1 or no region of interest.

    Example:
        >>> attention, inside = attention_at(torch.tensor([[[3.0, -4.0], [0.0, 4.0]]]), torch.tensor([[[1, 0]]]))
        >>> attention, inside
        (tensor([[0.7500, 2.0000]]), tensor([[ True, False]]))
    """
    maps = convert_to_tensor(relevance, track_meta=False).float()
    region = convert_to_tensor(mask, track_meta=False, device=maps.device)
    n_dims = region.ndim - 2
    wrong_dims = n_dims < 1 or maps.ndim - region.ndim not in (0, 1)
    if wrong_dims or region.shape[1] != 1 or len(maps) != len(region) or not maps.numel():
        raise ValueError(
            "expected relevance (R, maps, C, spatial...) or (R, C, spatial...) and a mask (R, 1, spatial...) for the "
            f"same R rows, got {tuple(maps.shape)} and {tuple(region.shape)}."
        )
    files, size = file_names(mask), maps.shape[-n_dims:]
    require_aspect(region.shape[2:], size, files)
    inside = pool_mask(as_region(region, files=files), size).flatten(2)
    strength = maps.abs().flatten(-n_dims)
    largest = strength.amax((-2, -1), keepdim=True)
    for wrong, what in ((~largest.isfinite(), "is NaN or infinite"), (largest == 0, "is 0 everywhere")):
        if wrong.any():
            found = sorted(set(wrong.nonzero()[:, 0].tolist()))
            raise ValueError(f"relevance {what} in row(s) {found}: it has no attention to measure; leave them out.")
    attention = (strength / largest).sum(-2)  # sums of tiny or huge relevance could under- or overflow
    return attention, inside if attention.ndim == 3 else inside[:, 0]
