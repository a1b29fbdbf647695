# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Replace the background of an image and keep its region of interest: BackMix, and its ablations.

Bransby et al., "BackMix: Mitigating Shortcut Learning in Echocardiography with Minimal Supervision", MICCAI 2024.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.config import NdarrayOrTensor

from monai_debias.constraints import ARRAY, Number
from monai_debias.masks import as_binary_mask
from monai_debias.parameters import expects
from monai_debias.pixels import as_pixels, cast_like, like, mean_of_finite, refuse_other_scale

__all__ = ["backmix", "backmix_rows", "replace_background"]


@expects(image=ARRAY, mask=ARRAY, background=ARRAY | Number())
def replace_background(
    image: NdarrayOrTensor, mask: NdarrayOrTensor, background: NdarrayOrTensor | float
) -> NdarrayOrTensor:
    """Keep ``image`` where ``mask`` is 1 and take ``background`` where it is 0.

    Args:
        image: channel-first image of shape (C, spatial...), any value range, floating point or integer.
        mask: binary mask of shape (1, spatial...) or (C, spatial...), 1 = region of interest.
        background: array of the shape of ``image`` or one value for all background pixels.

    Returns:
        A new array or tensor of the type, dtype and (for a ``MetaTensor``) metadata of ``image``.

    Raises:
        ValueError: when the mask is not binary, is zero everywhere or has another shape than the image; when image or
            background contain NaN or infinite values; when the background has another shape than the image, or values
            that the image's dtype cannot hold.

    Example:
        >>> import numpy as np
        >>> replace_background(np.array([[5., 6., 7.]]), np.array([[0, 1, 0]]), 0.0)
        array([[0., 6., 0.]])
    """
    pixels = as_pixels(image)
    mean_of_finite(pixels, "image")
    region = as_binary_mask(mask, pixels.shape).to(pixels.device)
    if isinstance(background, float | int):
        values = torch.tensor(background, dtype=torch.float64)
    else:
        values = as_pixels(background)
    mean_of_finite(values, "background")
    canvas = cast_like(pixels, values, "background")
    _paste(canvas, pixels, region)
    return like(canvas, image)


@expects(image=ARRAY, mask=ARRAY, donor_image=ARRAY, donor_mask=ARRAY)
def backmix(
    image: NdarrayOrTensor, mask: NdarrayOrTensor, donor_image: NdarrayOrTensor, donor_mask: NdarrayOrTensor
) -> NdarrayOrTensor:
    r"""Replace the background of ``image`` by the donor's background (what ``RandBackMix`` computes).

    With image x, mask M (1 = region of interest), donor image x' and donor mask M':

    .. math:: \tilde{x} = M \circ x + (1 - M) \circ (1 - M') \circ x'

    so that nothing of the donor's region of interest is carried over: where it overlaps the background of ``image``
    the result is 0. Apply it to intensities at which 0 means black, that is before the normalisation.

    Args:
        image: channel-first image of shape (C, spatial...), any number of spatial dimensions.
        mask: its binary mask, (1, spatial...) or (C, spatial...), 1 = region of interest.
        donor_image: the image that gives the background, of the same shape as ``image``.
        donor_mask: the donor's binary mask, shaped like ``mask``.

    Returns:
        A new array or tensor of the type, dtype and (for a ``MetaTensor``) metadata of ``image``.

    Raises:
        ValueError: for a mask that is not binary, zero everywhere or of another shape than its image; for a donor of
            another shape than ``image``, with values that the dtype of ``image`` cannot hold, or certainly on another
            scale, such as 0 to 255 and 0 to 1; for NaN or infinite values.

    Reference:
        Bransby et al., MICCAI 2024, section 2 (BackMix).

    Example:
        >>> import numpy as np
        >>> x, m = np.array([[5., 6., 7., 8.]]), np.array([[0, 1, 1, 0]])
        >>> donor, donor_m = np.array([[1., 2., 3., 4.]]), np.array([[0, 0, 1, 1]])
        >>> backmix(x, m, donor, donor_m)
        array([[1., 6., 7., 0.]])
    """
    pixels, donor = as_pixels(image), as_pixels(donor_image)
    donor_mean = mean_of_finite(donor, "donor image")
    donor_region = as_binary_mask(donor_mask, donor.shape, "donor mask").to(pixels.device)
    refuse_other_scale(pixels, donor, (mean_of_finite(pixels, "image"), donor_mean))
    canvas = cast_like(pixels, donor, "donor")
    region = as_binary_mask(mask, pixels.shape).to(pixels.device)
    beyond = donor_region > region  # what the last line overwrites need not be zeroed: less to write
    _paste(canvas, canvas.new_zeros(()), beyond)
    _paste(canvas, pixels, region)
    return like(canvas, image)


def backmix_rows(
    images: torch.Tensor, masks: torch.Tensor, donor_images: torch.Tensor, donor_masks: torch.Tensor
) -> torch.Tensor:
    """:func:`backmix` of all rows of a batch at once; it works element by element, so that rows can pass as channels.

    Args:
        images: shape (B, C, spatial...), in which 0 is black.
        masks: their masks, (B, 1, spatial...) or (B, C, spatial...), boolean.
        donor_images: the images that give the backgrounds, of the shape of ``images``.
        donor_masks: the masks of these, shaped like ``masks``.

    Returns:
        A new tensor of the shape and dtype of ``images``.

    Raises:
        ValueError: as :func:`backmix` does.

    Example:
        >>> images, masks = torch.tensor([[[5.0, 6.0]], [[7.0, 8.0]]]), torch.tensor([[[True, False]]] * 2)
        >>> backmix_rows(images, masks, images.flip(0), masks.flip(0))
        tensor([[[5., 8.]],
        <BLANKLINE>
                [[7., 6.]]])
    """
    flat = [images, masks.expand(images.shape), donor_images, donor_masks.expand(images.shape)]
    return torch.as_tensor(backmix(*(part.flatten(0, 1) for part in flat))).reshape(images.shape)


def _paste(canvas: torch.Tensor, values: torch.Tensor, region: torch.Tensor) -> None:
    """``canvas[region] = values[region]`` in place."""
    if canvas.device.type == "cpu" and canvas.dtype != torch.bfloat16:
        # numpy copies the runs of a compact mask as blocks: half the time of torch.where on a CPU
        np.copyto(canvas.numpy(), values.numpy(), where=region.numpy())
    else:
        torch.where(region, values.to(canvas), canvas, out=canvas)
