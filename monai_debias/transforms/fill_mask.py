# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An empty mask for samples without one, so that samples with and without a mask collate."""

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
    """Give a sample without a mask one that is 0 everywhere, and write a flag that tells whether the mask is real.

    ``PrepareBatchAttached`` and ``ISNetLRPLoss`` read the flag: a sample without a mask of its own contributes its
    classification loss only. This is the few-masks setting of wBackMix for an ISNet, an extension of this project. Put
    it last, after all transforms that treat a sample without a mask differently, such as BackMix and random transforms.

    All masks become uint8 of the image's kind of array, with the affine of the image and the file name of the mask (of
    the image, if there is no mask): masks of different types or meta data do not collate. A real mask is checked first.
    There is no array version, since the transform works on the keys of a dictionary.

    Args:
        mask_key: key of the mask, shape (1, spatial...), values 0 and 1; a sample may lack it, or have None under it.
        image_key: key of the image, (C, spatial...), which gives a filled mask its spatial shape, and all masks their
            kind of array and affine.
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
