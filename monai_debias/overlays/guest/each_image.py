# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Transforms of samples, for a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.transforms import Compose
from monai.utils import convert_to_tensor

from monai_debias.constraints import FUNCTION, KEY, SequenceOf
from monai_debias.parameters import expects

__all__ = ["EachImage"]


class EachImage:
    """Call dictionary transforms with each image of a batch, and stack what they return.

    Args:
        transforms: dictionary transforms of the image.
        image_key: the key of the image in these transforms.

    Raises:
        TypeError: when ``transforms`` is not a sequence of functions.

    Example:
        >>> from monai.transforms import NormalizeIntensityd
        >>> normalize = EachImage([NormalizeIntensityd("image")])
        >>> normalize(torch.tensor([[[1.0, 3.0]], [[10.0, 30.0]]]))
        tensor([[[-1.,  1.]],
        <BLANKLINE>
                [[-1.,  1.]]])
    """

    @expects(transforms=SequenceOf(FUNCTION), image_key=KEY)
    def __init__(self, transforms: Sequence[Callable], image_key: str = "image") -> None:
        self.transform = Compose(list(transforms))
        self.image_key = image_key

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the transformed images of ``images``, (B, C, spatial...)."""
        samples = [self.transform({self.image_key: image}) for image in images]
        return torch.stack([convert_to_tensor(sample[self.image_key], track_meta=False) for sample in samples])
