# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How much of a classifier's relevance lies outside the region of interest."""

from __future__ import annotations

import torch
from monai.config import NdarrayOrTensor

from monai_debias.constraints import ARRAY
from monai_debias.metrics.heatmaps import attention_at
from monai_debias.parameters import expects

__all__ = ["background_relevance"]


@expects(relevance=ARRAY, mask=ARRAY)
def background_relevance(relevance: NdarrayOrTensor, mask: NdarrayOrTensor) -> torch.Tensor:
    """Share of the absolute relevance that lies in the background: Σ|R|(1 - M) / Σ|R|, over channels and positions.

    0 = all relevance is in the region of interest, 1 = none is. The complement is the energy of the energy-based
    pointing game. A mask of another size than the map is average-pooled to it, and every value above 0 counts as
    region of interest, as in the ISNet loss.

    Args:
        relevance: heatmaps R, shape (R, maps, C, spatial...) or (R, C, spatial...); which of the two follows from
            the number of dimensions of ``mask``. Any number of spatial dimensions; up to 3 where the mask is pooled.
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
    attention, inside = attention_at(relevance, mask)
    return (attention * ~inside).sum(-1) / attention.sum(-1)
