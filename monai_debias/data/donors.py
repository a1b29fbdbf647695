# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which samples can give another image their background; bad ones are reported before the training begins."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from monai_debias.masks import as_binary_mask
from monai_debias.origin import file_names, from_files

__all__ = ["find_donors"]


def find_donors(samples: Any, keys: Sequence[Hashable], mask_key: Hashable) -> list[int]:
    """Find the samples that have a mask, and check their masks and sizes.

    Args:
        samples: sequence or data set of samples with arrays or tensors; each is read once.
        keys: keys of the images (C, spatial...); a key that a sample lacks is skipped.
        mask_key: key of the masks (1, spatial...).

    Returns:
        The indices of the samples that have a mask.

    Raises:
        ValueError: when no sample has a mask; when a mask is not binary, 0 everywhere or of another shape than its
            image; when two samples differ in size or number of channels. It names the samples and their files.

    Example:
        >>> import torch
        >>> image, mask = torch.rand(1, 4, 4), torch.ones(1, 4, 4)
        >>> find_donors([{"image": image}, {"image": image, "mask": mask}], ["image"], "mask")
        [1]
    """
    found: list[int] = []
    first: tuple[str, list[tuple[int, ...]]] | None = None
    for index in range(len(samples)):
        sample = samples[index]
        if sample.get(mask_key) is None:
            continue
        images = [sample[key] for key in keys if key in sample]
        shapes = [tuple(image.shape) for image in images]
        name = f"donor {index}{from_files([file for image in images for file in file_names(image)])}"
        for shape in shapes:
            as_binary_mask(sample[mask_key], shape, f"the mask of {name}")
        first = first or (name, shapes)
        if shapes != first[1]:
            raise ValueError(
                f"{first[0]} has images of shape {first[1]}, and {name} of {shapes}: bring all samples to one size and "
                "number of channels, e.g. with Resized."
            )
        found.append(index)
    if not found:
        keys_told = f" (the first has {sorted(map(str, samples[0]))})" if len(samples) else ""
        raise ValueError(
            f"none of the {len(samples)} donors has a mask under the key {mask_key!r}{keys_told}: BackMix needs masks "
            "for at least some of the training images, e.g. from LoadMaskd."
        )
    return found
