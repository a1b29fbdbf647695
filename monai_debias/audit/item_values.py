# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What an item of a data set holds, as an audit takes it: an image, its region of interest, and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

__all__ = ["column_of", "image_of", "label_of", "region_of"]


def image_of(item: Mapping[str, Any], key: str) -> torch.Tensor:
    """The image of an item, (C, spatial...), as float32 on the CPU.

    Args:
        item: an item of a data set.
        key: key of the image.

    Raises:
        TypeError: when the item is not a mapping.
        KeyError: when it has no image.
        ValueError: when the image is not an array, or not finite.
    """
    if not isinstance(item, Mapping):
        raise TypeError(f"the data set must give mappings with {key!r}, got {type(item).__name__}.")
    if key not in item:
        raise KeyError(f"has no {key!r}, it has {sorted(map(str, item))}")
    image = convert_to_tensor(item[key], track_meta=False, device="cpu")
    if not isinstance(image, torch.Tensor) or image.ndim < 2 or not image.numel():
        got = tuple(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise ValueError(f"expected an image (C, spatial...), got {got}: load it in the transforms of the data set")
    image = image.detach().float()
    if not bool(image.isfinite().all()):
        raise ValueError("the image has NaN or infinite values")
    return image


def label_of(value: Any, number: int) -> torch.Tensor:
    """The label of an item.

    Args:
        value: a number, or several.
        number: of the item.

    Raises:
        ValueError: when it is something else.

    Example:
        >>> label_of(3, 0), label_of([0, 1], 0).tolist()
        (tensor(3), [0, 1])
    """
    label = np.asarray(value)
    if label.dtype.kind not in "biuf":
        raise ValueError(
            f"the label of item {number} is {value!r}, expected a number: the index of its class, or 0 and 1 of each "
            "label."
        )
    return torch.as_tensor(label)


def region_of(mask: NdarrayOrTensor, image: torch.Tensor) -> torch.Tensor:
    """The region of interest of an image, boolean, (1 or C, spatial...).

    Args:
        mask: 0 outside of the region.
        image: its image, (C, spatial...).

    Raises:
        ValueError: when the mask is not of the image's size.
    """
    region = convert_to_tensor(mask, track_meta=False, device="cpu") != 0
    if region.shape[1:] != image.shape[1:] or len(region) not in (1, len(image)):
        raise ValueError(
            f"the mask is {tuple(region.shape)} for an image {tuple(image.shape)}: apply the same spatial transforms"
        )
    return region


def column_of(values: Sequence[Any]) -> NDArray:
    """An attribute as an array of numbers, or of names in which a missing value is empty.

    Args:
        values: of the attribute, one for each image.

    Example:
        >>> column_of([1, 2.5]).tolist(), column_of(["A", None]).tolist()
        ([1.0, 2.5], ['A', ''])
    """
    plain = [value.item() if isinstance(value, torch.Tensor | np.generic) else value for value in values]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in plain):
        return np.asarray(plain, dtype=np.float64)
    return np.asarray(["" if value is None else str(value) for value in plain])
