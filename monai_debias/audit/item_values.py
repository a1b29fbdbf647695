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

__all__ = ["alike", "column_of", "image_of", "is_missing", "labels_of", "region_of"]


_FEW = 2  # values, which may be different in each of a few images


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
    if image.is_complex():
        raise ValueError("the image has complex values: take their magnitude in the transforms of the data set")
    image = image.detach().float()
    if not bool(image.isfinite().all()):
        raise ValueError("the image has NaN or infinite values")
    return image


def labels_of(values: Sequence[Any], numbers: Sequence[int], class_names: Sequence[str] | None = None) -> torch.Tensor:
    """The labels of all items, (N,) or (N, K).

    Args:
        values: of each item a number, or several, or the name of a class.
        numbers: of the items.
        class_names: names of the classes.

    Raises:
        ValueError: when one is something else, or they differ in their number of values.

    Example:
        >>> labels_of([3, 0], [0, 1]), labels_of(["b", "a"], [0, 1], ["a", "b"])
        (tensor([3, 0]), tensor([1, 0]))
    """
    labels = [_label(value, number, class_names or ()) for value, number in zip(values, numbers, strict=True)]
    for label, number in zip(labels, numbers, strict=True):
        if label.shape != labels[0].shape:
            several = [f"item {n} has {tuple(one.shape)}" for one, n in ((labels[0], numbers[0]), (label, number))]
            raise ValueError(f"all labels must have the same number of values, but {' and '.join(several)}.")
    return torch.stack(labels)


def _label(value: Any, number: int, class_names: Sequence[str]) -> torch.Tensor:
    if isinstance(value, str) and value in class_names:
        return torch.tensor(list(class_names).index(value))
    label = np.asarray(value)
    if label.dtype.kind not in "biuf":
        names = f"one of class_names ({', '.join(class_names)})" if class_names else "one of class_names"
        raise ValueError(
            f"the label of item {number} is {value!r}, expected a number: the index of its class, or 0 and 1 of each "
            f"label; or {names}. For one that is not known give a number such as -1, and ignore_value=-1."
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
    values = mask if isinstance(mask, torch.Tensor) else np.asarray(mask)
    region = convert_to_tensor(values, track_meta=False, device="cpu") != 0
    expected = (1, *image.shape[1:])
    if region.shape not in (expected, image.shape):
        raise ValueError(
            f"the mask is {tuple(region.shape)} for an image {tuple(image.shape)}, expected {expected}: apply the same "
            "spatial transforms"
        )
    return region


def is_missing(value: Any) -> bool:
    """Whether there is no value: None, an empty text, or NaN, as a table has it."""
    return value is None or value == "" or (isinstance(value, float) and value != value)


def column_of(values: Sequence[Any]) -> NDArray:
    """An attribute as an array of numbers, NaN where one is missing, or of names, empty where one is.

    Args:
        values: of the attribute, one for each image; None, an empty text and NaN are missing.

    Example:
        >>> column_of([1, 2.5, None]).tolist(), column_of(["A", None]).tolist()
        ([1.0, 2.5, nan], ['A', ''])
    """
    plain = [_plain(value) for value in values]
    known = [value for value in plain if not is_missing(value)]
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return np.asarray([np.nan if is_missing(value) else value for value in plain], dtype=np.float64)
    return np.asarray(["" if is_missing(value) else str(value) for value in plain])


def _plain(value: Any) -> Any:
    """A value as Python has it; infinity says as little as NaN, and what no number can hold is a name."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        value = value.tolist()
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, int) and abs(value) > 2**1000:
        return str(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value


def alike(columns: Mapping[str, NDArray]) -> dict[str, list[str]]:
    """The attributes that divide the images in the same way as one before them, by the name of that one.

    Args:
        columns: attributes by name, of :func:`column_of`. Ages or weights, which may differ in every image, divide
            nothing.

    Example:
        >>> scanner, bits, sex = np.array(["A", "A", "B"]), np.array([8, 8, 12]), np.array(["F", "M", "M"])
        >>> alike({"scanner": scanner, "bits": bits, "sex": sex})
        {'scanner': ['bits']}
    """
    names: dict[tuple[int, ...], str] = {}
    found: dict[str, list[str]] = {}
    for name, values in columns.items():
        _, first, group = np.unique(values, return_index=True, return_inverse=True)
        if len(first) <= max(_FEW, len(values) // 2):
            key = tuple(first.argsort().argsort()[group.ravel()].tolist())  # groups in the order of their first images
            if names.setdefault(key, name) != name:
                found.setdefault(names[key], []).append(name)
    return found
