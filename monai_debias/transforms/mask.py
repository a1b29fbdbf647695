# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What every part that takes a mask demands of it: binary, of the image's shape, and not empty."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.config import NdarrayOrTensor
from monai.networks.layers import Pool

from monai_debias.parameters import ARRAY, STRING, Integer, SequenceOf, expects
from monai_debias.transforms.pixels import as_pixels

__all__ = ["as_binary_mask", "pool_mask"]


@expects(mask=ARRAY, image_shape=SequenceOf(Integer("[0, inf)"), least=1), name=STRING)
def as_binary_mask(mask: NdarrayOrTensor, image_shape: Sequence[int], name: str = "mask") -> torch.Tensor:
    """Check a channel-first mask against its image and return it as a boolean tensor.

    Args:
        mask: array or tensor of shape (1, spatial...) or (C, spatial...) with the values 0 and 1 (or boolean),
            1 = region of interest.
        image_shape: shape of the image that the mask belongs to, (C, spatial...).
        name: what the error messages call the mask.

    Returns:
        Boolean tensor of the mask's shape; it shares memory with a ``uint8`` or ``bool`` mask.

    Raises:
        ValueError: when the mask's shape does not fit, when it has values other than 0 and 1, or when it is all 0.

    Example:
        >>> import torch
        >>> as_binary_mask(torch.tensor([[0.0, 1.0]]), (3, 2))
        tensor([[False,  True]])
    """
    values = as_pixels(mask)
    if values.shape[1:] != tuple(image_shape[1:]) or values.shape[0] not in (1, image_shape[0]):
        raise ValueError(
            f"{name} of shape {tuple(values.shape)} does not fit an image of shape {tuple(image_shape)}: expected "
            f"{(1, *image_shape[1:])}; apply the same spatial transforms to image and mask."
        )
    if values.dtype in (torch.bool, torch.uint8):
        highest = int(values.max())  # this one pass over bytes is all that the usual mask costs
        region, binary, empty = values.view(torch.bool), highest <= 1, highest == 0
    else:
        region = values != 0
        binary, empty = torch.equal(region.to(values.dtype), values), not region.any()
    if not binary:
        low, high = values.min().item(), values.max().item()
        raise ValueError(
            f"{name} has values other than 0 and 1 (min {low:g}, max {high:g}); threshold it, e.g. with "
            'AsDiscreted(keys="mask", threshold=0.5), and use mode="nearest" for it in spatial transforms.'
        )
    if empty:
        raise ValueError(f"{name} is 0 everywhere: nothing would be kept; give no mask for a sample that has none.")
    return region


def pool_mask(region: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring masks to the size of a map: what the region touches belongs to it.

    Args:
        region: binary masks of shape (B, 1, spatial...).
        size: the map's spatial shape.

    Returns:
        Masks of shape (B, 1, size...) and of the type of ``region``; those that have the size already as they are.

    Raises:
        ValueError: when a mask of more than 3 spatial dimensions has another size.

    Example:
        >>> import torch
        >>> pool_mask(torch.tensor([[[0, 1, 0, 0]]]), [2])
        tensor([[[1, 0]]])
    """
    if region.shape[2:] == tuple(size):
        return region
    if len(size) > 3:
        raise ValueError(
            f"a mask with {len(size)} spatial dimensions cannot be pooled from {tuple(region.shape[2:])} to "
            f"{tuple(size)}; give it the size of the relevance."
        )
    return (Pool[Pool.ADAPTIVEAVG, len(size)](tuple(size))(region.float()) > 0).to(region.dtype)
