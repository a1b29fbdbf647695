# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A mask for samples that have none, so that a batch in which only some have one collates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_debias.constraints import KEY
from monai_debias.masks import as_binary_mask, mask_meta
from monai_debias.origin import file_names
from monai_debias.parameters import expects

__all__ = ["FillMaskD", "FillMaskDict", "FillMaskd"]


class FillMaskd(Transform):
    """Give a sample without a mask one that is 0 everywhere, and tell by a flag whether the mask is a real one.

    ``PrepareBatchAttached`` and ``ISNetLRPLoss`` read the flag: a sample without a mask of its own contributes its
    classification loss only. It is the setting of wBackMix (few masks) for an ISNet, an extension of this project. Put
    it last, after whatever treats a sample without a mask in another way, like BackMix and the random transforms.

    All masks become uint8 of the image's kind of array, with the affine of the image and the file name of the mask (of
    the image, where there is no mask): masks of different types or meta do not collate. A real mask is checked first.
    There is no array version: it decides about keys of a dictionary.

    Args:
        mask_key: key of the mask, shape (1, spatial...), values 0 and 1; a sample may lack it, or have None under it.
        image_key: key of the image, (C, spatial...), whose spatial shape a filled mask has, and whose kind of array and
            affine all masks take.
        flag_key: key that the flag is written to, a bool (a batch collates to (B,)).

    Raises:
        KeyError: when the sample has no image.
        TypeError: when the image is not loaded.
        ValueError: when the image is not channel-first, or a mask does not fit the image, has values other than 0 and
            1, or is 0 everywhere.

    Example:
        >>> sample = FillMaskd()({"image": torch.rand(3, 32, 48), "label": 1})
        >>> sample["mask"].shape, sample["mask"].dtype, sample["has_mask"]
        (torch.Size([1, 32, 48]), torch.uint8, False)
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    @expects(mask_key=KEY, image_key=KEY, flag_key=KEY)
    def __init__(
        self, mask_key: Hashable = "mask", image_key: Hashable = "image", flag_key: Hashable = "has_mask"
    ) -> None:
        self.mask_key = mask_key
        self.image_key = image_key
        self.flag_key = flag_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with a mask under ``mask_key`` and the flag."""
        if self.image_key not in data:
            raise KeyError(f"the sample has no image {self.image_key!r}, which the mask {self.mask_key!r} must fit.")
        image, mask = data[self.image_key], data.get(self.mask_key)
        if not isinstance(image, torch.Tensor | np.ndarray):
            raise TypeError(f"the image {self.image_key!r} is a {type(image).__name__}: load it first.")
        if image.ndim < 2:
            raise ValueError(f"the image {self.image_key!r} must be (C, spatial...), got shape {tuple(image.shape)}.")
        has_mask = mask is not None
        if mask is None:
            region = torch.zeros(1, *image.shape[1:], dtype=torch.bool)
        else:
            region = as_binary_mask(mask, (1, *image.shape[1:]), name=str(self.mask_key))
        filled, _, _ = convert_to_dst_type(region, image, dtype=torch.uint8)
        if isinstance(filled, MetaTensor):
            filled = MetaTensor(filled.as_tensor(), meta=mask_meta(filled, region.shape, file_names(mask)))
        return {**data, self.mask_key: filled, self.flag_key: has_mask}


FillMaskD = FillMaskDict = FillMaskd
