# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The images of a batch, each on the background of another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from monai_debias.constraints import FUNCTION, KEY, NONE
from monai_debias.masks import as_region, mask_flags
from monai_debias.origin import file_names
from monai_debias.parameters import expects
from monai_debias.without_waiting import look, training_step

__all__ = ["SwapBackgrounds"]


class SwapBackgrounds:
    """Give each image of a batch that has a mask the background of the previous one that has a mask.

    The images are those of :func:`monai_debias.transforms.backmix`: the region of interest stays, the background is the
    other image's, and where that has its own region of interest, the result is 0. So nothing of another's region of
    interest is in it. The first image has the background of the last. A batch with fewer than two masks has no pairs.
    Nothing is drawn: the order of the batch determines the pairs, so shuffle the training data.

    BackMix needs images in which 0 is black. The batch needs copies of image and mask from before the normalisation,
    made after all transforms that move pixels::

        CopyItemsd(["image", "mask"], names=["swap_image", "swap_mask"], allow_missing_keys=True),
        FillMaskd("swap_mask", "swap_image", "has_swap_mask"),  # if only some images have a mask

    Args:
        normalize: the transform between these images and the network, e.g.
            ``NormalizeIntensity(channel_wise=True)``. It takes and returns a batch (R, C, spatial...).
        image_key: key of the images, (B, C, spatial...), in which 0 is black.
        mask_key: key of the masks, (B, 1, spatial...), 1 = region of interest.
        flag_key: key of the bool flags, (B,), which tell whether there is a mask; without it every image has one.

    Raises:
        KeyError: when a batch lacks images or masks.
        TypeError: when the flags are not bool, or ``normalize`` does not return a tensor.
        ValueError: when the flags are not of shape (B,); when masks do not fit the images, have values other than 0 and
            1, or are 0 everywhere; when images are NaN or infinite.

    Reference:
        The images: Bransby et al., BackMix, MICCAI 2024.

    Example:
        >>> images, masks = torch.tensor([[[5.0, 6.0]], [[7.0, 8.0]], [[1.0, 2.0]]]), torch.tensor([[[1, 0]]] * 3)
        >>> batch = {"swap_image": images, "swap_mask": masks, "has_swap_mask": torch.tensor([True, False, True])}
        >>> swapped = SwapBackgrounds()(batch)
        >>> swapped["rows"], swapped["images"].squeeze()
        (tensor([0, 2]), tensor([[5., 2.],
                [1., 6.]]))
    """

    @expects(normalize=NONE | FUNCTION, image_key=KEY, mask_key=KEY, flag_key=KEY)
    def __init__(
        self,
        normalize: Callable[[torch.Tensor], torch.Tensor] | None = None,
        image_key: str = "swap_image",
        mask_key: str = "swap_mask",
        flag_key: str = "has_swap_mask",
    ) -> None:
        self.normalize = normalize
        self.image_key = image_key
        self.mask_key = mask_key
        self.flag_key = flag_key

    def __call__(self, data: Mapping[str, Any], **move: Any) -> dict[str, torch.Tensor]:
        """Swap the backgrounds of a batch.

        Args:
            data: the batch.
            move: arguments of ``torch.Tensor.to``, such as the device on which to work.

        Returns:
            ``{"rows": ..., "images": ...}``: indices (R,) of the images that have another background, int64, and these
            images, (R, C, spatial...).
        """
        with training_step(self):
            return self._swapped(data, move)

    def _swapped(self, data: Mapping[str, Any], move: dict[str, Any]) -> dict[str, torch.Tensor]:
        missing = [key for key in (self.image_key, self.mask_key) if key not in data]
        if missing:
            raise KeyError(
                f"the batch has no {missing} to swap backgrounds with, it has {sorted(map(str, data))}: copy image and "
                "mask to these keys before the normalisation, with CopyItemsd, and keep them in the batch."
            )
        flags = mask_flags(data, self.flag_key, len(data[self.image_key]))
        files = file_names(data[self.mask_key])
        images, masks = (_plain(data[key].to(**move)) for key in (self.image_key, self.mask_key))
        if masks.shape[:1] != images.shape[:1] or masks.shape[2:] != images.shape[2:]:
            raise ValueError(
                f"masks {self.mask_key!r} are {tuple(masks.shape)} for images {tuple(images.shape)}: copy both after "
                "all transforms that move pixels."
            )
        rows = flags.nonzero().flatten() if int(flags.sum()) > 1 else torch.empty(0, dtype=torch.int64)
        rows = rows.to(images.device, non_blocking=True)
        if not len(rows):
            return {"rows": rows, "images": images[:0]}
        images = images[rows]
        regions = as_region(masks[rows], self.mask_key, files, channels=images.shape[1], rows=rows)
        if images.is_floating_point():
            look(partial(_refuse_infinite, self.image_key), rows, images.flatten(1).isfinite().all(1))
        # the formula of backmix for all rows at once; each is a donor, so that no donor is on another scale
        swapped = torch.where(regions, images, torch.where(regions.roll(1, 0), 0, images.roll(1, 0)))
        return {"rows": rows, "images": self._normalized(swapped)}

    def _normalized(self, images: torch.Tensor) -> torch.Tensor:
        if self.normalize is None:
            return images
        normalized = self.normalize(images)
        if not isinstance(normalized, torch.Tensor) or normalized.shape != images.shape:
            got = f"shape {tuple(normalized.shape)}" if isinstance(normalized, torch.Tensor) else type(normalized)
            raise TypeError(f"normalize must return a tensor of shape {tuple(images.shape)}, got {got}.")
        return _plain(normalized)


def _refuse_infinite(name: str, rows: torch.Tensor, finite: torch.Tensor) -> None:
    if not bool(finite.all()):
        raise ValueError(
            f"{name} has NaN or infinite values in row(s) {rows[~finite].tolist()}; repair or leave out these samples."
        )


def _plain(images: torch.Tensor) -> torch.Tensor:
    """The tensor without meta data, which every operation would copy."""
    return images.as_subclass(torch.Tensor)
