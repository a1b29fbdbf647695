# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The network that finds lungs, and how a film is brought to it: whole, in a square, whatever its grey scale."""

from __future__ import annotations

from monai.networks.nets import UNet
from monai.transforms import Compose, NormalizeIntensity, Resize, SpatialPad

__all__ = ["lung_network", "prepare_film"]


def lung_network() -> UNet:
    """Make the network, with random weights: a U-Net of 370,000 parameters.

    Returns:
        A network from films (B, 1, size, size), as :func:`prepare_film` makes them, to logits of the same shape, above
        0 in the lungs; the size is a multiple of 16.

    Example:
        >>> import torch
        >>> lung_network()(torch.zeros(2, 1, 160, 160)).shape
        torch.Size([2, 1, 160, 160])
    """
    return UNet(spatial_dims=2, in_channels=1, out_channels=1, channels=(16, 32, 64, 96, 128), strides=(2, 2, 2, 2))


def prepare_film(size: int) -> Compose:
    """Make the transforms from a film to the network.

    The longer side gets the network's size, the rest of the square is 0, and the values get mean 0 and standard
    deviation 1.

    Args:
        size: rows and columns that the network sees.

    Returns:
        The transforms of an array (1, rows, columns): resize, pad, normalise.

    Example:
        >>> import torch
        >>> prepare_film(160)(torch.rand(1, 64, 80)).shape
        torch.Size([1, 160, 160])
    """
    return Compose([Resize(size, "longest", "area"), SpatialPad((size, size)), NormalizeIntensity()])
