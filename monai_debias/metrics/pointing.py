# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the strongest relevance lies in the region of interest: at the strongest position, or the strongest few."""

from __future__ import annotations

import torch
from monai.config import NdarrayOrTensor

from monai_debias.constraints import ARRAY, Number
from monai_debias.metrics.heatmaps import attention_at
from monai_debias.parameters import expects

__all__ = ["pointing_game", "relevance_focus"]


@expects(relevance=ARRAY, mask=ARRAY)
def pointing_game(relevance: NdarrayOrTensor, mask: NdarrayOrTensor) -> torch.Tensor:
    """Whether the position of the largest relevance lies in the region of interest. Its mean is the pointing accuracy.

    The relevance of a position is Σ|R| over its channels, as in :func:`background_relevance`: evidence against a class
    is attention, too. If several positions share the largest relevance, all of them must lie in the region, so that
    the order of the positions decides nothing and a flat map does not point. Unlike the original game, a miss by a few
    pixels is a miss. A mask of another size than the map is average-pooled to it, and every value above 0 counts as
    region of interest, as in the ISNet loss.

    Args:
        relevance: heatmaps R, shape (R, maps, C, spatial...) or (R, C, spatial...); which of the two follows from
            the number of dimensions of ``mask``. Any number of spatial dimensions; up to 3 where the mask is pooled.
        mask: region of interest M of each row, shape (R, 1, spatial...), 1 = region of interest, 0 = background.

    Returns:
        Booleans, shape (R, maps) or (R,), on the device of ``relevance``.

    Raises:
        ValueError: when shapes do not fit, when relevance is NaN or infinite, when a map is 0 everywhere (it points
            nowhere), or when a mask has values other than 0 and 1, or no region of interest.

    Reference:
        Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016 (pointing game).

    Example:
        >>> relevance = torch.tensor([[[3.0, -1.0]], [[0.0, -2.0]]])  # two rows, one channel, two positions
        >>> pointing_game(relevance, torch.tensor([[[1, 0]], [[1, 0]]]))
        tensor([ True, False])
    """
    attention, inside = attention_at(relevance, mask)
    strongest = attention == attention.amax(-1, keepdim=True)
    return (~strongest | inside).all(-1)


@expects(relevance=ARRAY, mask=ARRAY, quantile=Number("(0, 1]"))
def relevance_focus(relevance: NdarrayOrTensor, mask: NdarrayOrTensor, quantile: float = 0.05) -> torch.Tensor:
    """Share of the positions with the largest relevance that lie in the region of interest.

    The relevance of a position is Σ|R| over its channels, as in :func:`background_relevance`. If the last of the
    strongest positions are as strong as others, the result is the mean over all choices among these: for a flat map,
    the share of the image that the region covers. This is the value of chance; compare with it. If the region is
    smaller than the number of positions, the largest possible value is the ratio of the two.

    Args:
        relevance: heatmaps R, shape (R, maps, C, spatial...) or (R, C, spatial...), as for :func:`pointing_game`.
        mask: region of interest M of each row, shape (R, 1, spatial...), 1 = region of interest, 0 = background.
        quantile: share q of a map's positions that count as its strongest, in (0, 1]; rounded to a number of
            positions, at least one. The default is the strongest 5 %.

    Returns:
        Fractions in [0, 1], shape (R, maps) or (R,), on the device of ``relevance``.

    Raises:
        ValueError: when ``quantile`` is not in (0, 1]; when shapes do not fit, when relevance is NaN or infinite, when
            a map is 0 everywhere, or when a mask has values other than 0 and 1, or no region of interest.

    Reference:
        After the focus, %F, of Bransby et al., BackMix, MICCAI 2024, which does not give its formula; this one is ours.

    Example:
        >>> relevance = torch.tensor([[[4.0, 3.0, -2.0, 1.0]]])  # one row, one channel, four positions
        >>> relevance_focus(relevance, torch.tensor([[[1, 0, 0, 0]]]), quantile=0.5)
        tensor([0.5000])
    """
    attention, inside = attention_at(relevance, mask)
    n_top = max(1, round(quantile * attention.shape[-1]))
    weakest = attention.topk(n_top).values[..., -1:]
    above, tied = attention > weakest, attention == weakest
    chosen = (n_top - above.sum(-1)) / tied.sum(-1)  # the share of the tied positions that belong to the strongest
    return ((above & inside).sum(-1) + chosen * (tied & inside).sum(-1)) / n_top
