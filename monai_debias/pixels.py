# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of every kind as plain tensors, and checks that two images can be combined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor

__all__ = ["as_pixels", "cast_like", "like", "mean_of_finite", "native", "refuse_other_scale", "refuse_overflow"]

FULL_SCALE = 128  # an image of 8 bits that is not scaled to [0, 1] has such a value, if it uses half of the range


def native(value: Any) -> Any:
    """An array in native byte order and without negative strides, as torch needs it; anything else unchanged."""
    # numpy.ascontiguousarray leaves a negative stride of a dimension of length 1
    if isinstance(value, np.ndarray) and (not value.dtype.isnative or min(value.strides, default=0) < 0):
        return value.astype(value.dtype.newbyteorder("="), order="C")
    return value


def as_pixels(image: NdarrayOrTensor) -> torch.Tensor:
    """View an array or MetaTensor as a plain tensor: dispatching through MetaTensor costs more than the mixing.

    An array that torch cannot view, with negative strides or another byte order, is copied.
    """
    if isinstance(image, torch.Tensor):
        return image.as_subclass(torch.Tensor).detach()
    return torch.from_numpy(np.ascontiguousarray(native(image)))


def like(result: torch.Tensor, image: NdarrayOrTensor) -> NdarrayOrTensor:
    """Return a tensor as the kind of array that ``image`` is, with its metadata."""
    if isinstance(image, MetaTensor):
        return result.as_subclass(MetaTensor).copy_meta_from(image)
    return result if isinstance(image, torch.Tensor) else result.numpy()


def mean_of_finite(pixels: torch.Tensor, name: str) -> float:
    """Return the mean of an image's values, NaN for one of integers.

    Raises:
        ValueError: when a value is NaN or infinite.
    """
    if not pixels.is_floating_point():
        return math.nan
    # a sum is one pass, and finite unless a value is not (or values are absurdly large): look closely only then
    total = pixels.sum().item()
    if not math.isfinite(total) and not torch.isfinite(pixels).all():
        n_bad = int((~torch.isfinite(pixels)).sum())
        raise ValueError(
            f"{name} has {n_bad} NaN or infinite values of {pixels.numel()}; repair or leave out that sample."
        )
    return total / max(pixels.numel(), 1)


def cast_like(pixels: torch.Tensor, other: torch.Tensor, name: str) -> torch.Tensor:
    """Copy another image, or a value for all pixels, to the shape, dtype and device of ``pixels``.

    Args:
        pixels: shape (C, spatial...).
        other: of the same shape, or without dimensions. Fractions are rounded for an image of integers.
        name: its name in messages.

    Raises:
        ValueError: when the shapes differ, or the dtype of ``pixels`` cannot hold the values.
    """
    if other.ndim > 0 and other.shape != pixels.shape:
        raise ValueError(
            f"{name} of shape {tuple(other.shape)} does not fit an image of shape {tuple(pixels.shape)}: bring all "
            "samples to one size and number of channels first, e.g. with Resized."
        )
    if other.dtype != pixels.dtype:
        refuse_overflow(other, pixels.dtype, name)
        other = other.round() if other.is_floating_point() and not pixels.is_floating_point() else other
    return other.to(pixels, copy=True) if other.ndim > 0 else other.to(pixels).repeat(pixels.shape)


def refuse_other_scale(image: torch.Tensor, donor: torch.Tensor, means: tuple[float, float]) -> None:
    """Refuse a donor on another scale than the image, if that is certain: 0 to 255 and 0 to 1.

    It is certain if one of the two has fractions, all of them in [0, 1], and the other one, without negative values,
    goes up to 128 or more, or is an image of integers. A z-score has negative values; a black image has no fractions.

    Args:
        image: shape (C, spatial...).
        donor: of any shape.
        means: the means of both, NaN for integers; most pairs need no closer look after comparing these.

    Raises:
        ValueError: when the scales differ.
    """
    if not any(math.isnan(mean) for mean in means) and (means[0] > 1) == (means[1] > 1):
        return
    (scaled, (low, high)), (other, (other_low, other_high)) = sorted(
        ((pixels, _range(pixels)) for pixels in (image, donor)), key=lambda pair: pair[1][1]
    )
    limit = FULL_SCALE if other.is_floating_point() else 2
    if not scaled.is_floating_point() or min(low, other_low) < 0 or high > 1 or other_high < limit:
        return
    if not torch.equal(scaled, scaled.round()):
        a, b = (_range(pixels) for pixels in (image, donor))
        raise ValueError(
            f"the image has values from {a[0]:g} to {a[1]:g} ({image.dtype}), the donor from {b[0]:g} to {b[1]:g} "
            f"({donor.dtype}): they are on different scales. Give both the same intensity transforms, e.g. "
            "ScaleIntensityRanged, before BackMix."
        )


def refuse_overflow(values: torch.Tensor, dtype: torch.dtype, name: str) -> None:
    """Refuse values that an image's dtype cannot hold, by a ValueError that names them."""
    if dtype == torch.bool:
        lowest, highest = 0.0, 1.0
    else:
        limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
        lowest, highest = limits.min, limits.max
    low, high = _range(values)
    if not (lowest <= low and high <= highest):
        raise ValueError(
            f"{name} has values from {low:g} to {high:g}, which the image's {dtype} cannot hold: bring both to one "
            "dtype and range first, e.g. with ScaleIntensityRanged."
        )


def _range(pixels: torch.Tensor) -> tuple[float, float]:
    known = pixels.double() if pixels.dtype in (torch.bool, torch.uint16, torch.uint32, torch.uint64) else pixels
    low, high = known.aminmax()
    return low.item(), high.item()
