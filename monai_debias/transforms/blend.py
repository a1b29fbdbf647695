# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Backgrounds of a batch faded into each other, where two images have background both."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from monai_debias.constraints import STRING, TENSOR, SequenceOf
from monai_debias.masks import as_region, pool_mask, require_aspect
from monai_debias.origin import file_names
from monai_debias.parameters import expects
from monai_debias.without_waiting import look

__all__ = ["blend_backgrounds", "blend_rows"]


@expects(images=TENSOR, masks=TENSOR, amounts=TENSOR, files=SequenceOf(STRING))
def blend_backgrounds(
    images: torch.Tensor, masks: torch.Tensor, amounts: torch.Tensor, files: Sequence[str] = ()
) -> torch.Tensor:
    r"""Fade the background of each image into that of the image before it in the batch; the first's is the last.

    With image x, mask M (1 = region of interest), the other image x' and its mask M', and an amount t:

    .. math:: \tilde{x} = x + t \, (1 - M) \circ (1 - M') \circ (x' - x)

    Only what is background in both images changes, so that nothing of another region of interest comes in, no hole is
    left where it was, and 0 need not be black. A single image stays what it is.

    Args:
        images: shape (B, C, spatial...), floating point, of any range of values.
        masks: binary masks (B, 1, spatial...), 1 = region of interest; of another size they are pooled to that of the
            images.
        amounts: t of each image, (B,), in [0, 1]: 0 leaves an image alone, 1 takes the other background.
        files: names of the B files of the masks, for messages; by default those of a MetaTensor.

    Returns:
        New images of the shape and dtype of ``images``.

    Raises:
        ValueError: when images are not of floating point, there is not one mask and one amount for each image, an
            amount is outside [0, 1], or the masks do not fit the images, have other values than 0 and 1 or are 0
            everywhere for an image.

    Reference:
        Ours, beside the penalty of an ISNet; an exchange of backgrounds, t = 1 with 0 as black, is the one of BackMix
        (Bransby et al., MICCAI 2024).

    Example:
        >>> images = torch.tensor([[[8.0, 1.0, 2.0]], [[4.0, 5.0, 6.0]]])
        >>> masks = torch.tensor([[[0, 1, 0]], [[0, 0, 1]]])
        >>> blend_backgrounds(images, masks, torch.tensor([0.25, 1.0]))
        tensor([[[7., 1., 2.]],
        <BLANKLINE>
                [[8., 5., 6.]]])
    """
    if images.ndim < 3 or images.ndim != masks.ndim or not images.is_floating_point():
        raise ValueError(
            "expected images (B, C, spatial...) of floating point and masks (B, 1, spatial...), got images of "
            f"{images.dtype} and shape {tuple(images.shape)} and masks of shape {tuple(masks.shape)}."
        )
    n = len(images)
    if len(masks) != n or amounts.shape != (n,):
        raise ValueError(
            f"expected a mask and an amount for each of {n} images, got masks of shape {tuple(masks.shape)} and "
            f"amounts of shape {tuple(amounts.shape)}."
        )
    look(_refuse_amounts, amounts)
    region = as_region(masks, files=files)
    require_aspect(region.shape[2:], images.shape[2:], files)
    return _blended(images.as_subclass(torch.Tensor), region.to(images.device), amounts)


def blend_rows(images: torch.Tensor, masks: torch.Tensor, rows: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Blend the backgrounds of some images of a batch, by amounts that are made of uniform numbers.

    Half of the amounts are 1: a blend tells of two classes, of which one is right, and a whole exchange of none.

    Args:
        images: shape (B, C, spatial...), floating point.
        masks: binary masks (B, 1, spatial...), 1 = region of interest; only those of the rows count.
        rows: indices of the images that are blended, (R,), int64.
        uniform: numbers in [0, 1), (R,).

    Returns:
        New images; the others are what they were.

    Raises:
        ValueError: when there is not one mask for each image, or the masks do not fit the images, have other values
            than 0 and 1 or are 0 everywhere for an image.
    """
    if len(masks) != len(images):
        raise ValueError(f"there are {len(images)} images, but masks of shape {tuple(masks.shape)}.")
    files = file_names(masks)
    region = as_region(masks.as_subclass(torch.Tensor).to(images.device)[rows], files=files, rows=rows)
    require_aspect(region.shape[2:], images.shape[2:], files)
    return images.index_copy(0, rows, _blended(images[rows], region, (2 * uniform).clamp(max=1)))


def _blended(pixels: torch.Tensor, region: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
    """The formula of :func:`blend_backgrounds`, for masks that are checked.

    Args:
        pixels: shape (B, C, spatial...).
        region: boolean (B, 1, spatial...), of the size of the images or pooled to it.
        amounts: t, shape (B,).

    Returns:
        New images.
    """
    region = pool_mask(region, pixels.shape[2:])
    t = amounts.to(pixels).reshape(-1, *[1] * (pixels.ndim - 1))
    faded = pixels + t * (pixels.roll(1, 0) - pixels)
    # chosen, not multiplied by 0, which would let a NaN into the other image's region of interest
    return torch.where(region | region.roll(1, 0), pixels, faded)


def _refuse_amounts(amounts: torch.Tensor) -> None:
    if not bool(((amounts >= 0) & (amounts <= 1)).all()):
        raise ValueError(f"amounts must lie in [0, 1], got {amounts.tolist()}.")
