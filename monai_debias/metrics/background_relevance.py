# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How much of what a classifier looks at lies outside the region of interest."""

from __future__ import annotations

import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor

from monai_debias.transforms.mask import as_binary_mask, pool_mask

__all__ = ["background_relevance"]


def background_relevance(relevance: NdarrayOrTensor, mask: NdarrayOrTensor) -> torch.Tensor:
    """Share of the absolute relevance that lies in the background: Σ|R|(1 - M) / Σ|R|, over channels and positions.

    0 = all relevance is in the region of interest, 1 = none is. The complement is the energy of the energy-based
    pointing game. A mask of another size than the map is average-pooled to it, and every value above 0 counts as
    region of interest, as in the ISNet loss.

    Args:
        relevance: heatmaps R, shape (R, maps, C, spatial...) or (R, C, spatial...); which of the two is told by the
            number of dimensions of ``mask``. Any number of spatial dimensions; up to 3 if the mask has to be pooled.
        mask: region of interest M of each row, shape (R, 1, spatial...), 1 = region of interest, 0 = background.

    Returns:
        Fractions in [0, 1], shape (R, maps) or (R,), on the device of ``relevance``; differentiable.

    Raises:
        ValueError: when shapes do not fit, when relevance is NaN or infinite, when a map is 0 everywhere (it has no
            fraction), or when a mask has values other than 0 and 1, or no region of interest.

    Reference:
        Wang et al., Score-CAM, CVPR workshops 2020 (energy-based pointing game).

    Example:
        >>> relevance = torch.tensor([[[3.0, -1.0]], [[0.0, 2.0]]])  # two rows, one channel, two positions
        >>> background_relevance(relevance, torch.tensor([[[1, 0]], [[1, 0]]]))
        tensor([0.2500, 1.0000])
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
    rows = [as_binary_mask(row, row.shape, f"mask of row {i}") for i, row in enumerate(region)]
    region = pool_mask(torch.stack(rows).to(maps.dtype), maps.shape[-n_dims:])
    strength = maps.abs().flatten(-n_dims - 1)
    largest = strength.amax(-1, keepdim=True)
    for wrong, what in ((~largest.isfinite(), "is NaN or infinite"), (largest == 0, "is 0 everywhere")):
        if wrong.any():
            found = sorted(set(wrong.nonzero()[:, 0].tolist()))
            raise ValueError(
                f"relevance {what} in row(s) {found}: it has no background fraction; leave these rows out."
            )
    outside = (1 - region).expand(len(maps), maps.shape[-n_dims - 1], *maps.shape[-n_dims:]).flatten(1)
    share = strength / largest  # sums of tiny or huge relevance could under- or overflow
    if share.ndim == 3:
        outside = outside.unsqueeze(1)
    return (share * outside).sum(-1) / share.sum(-1)
