# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A mask where one can be had, for what does without it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.transforms import Compose, Transform
from monai.utils import TransformBackends

from monai_debias.constraints import KEY, Instance, SequenceOf
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import expects

__all__ = ["TryMaskD", "TryMaskDict", "TryMaskd"]


class TryMaskd(Transform):
    """Find or load the mask of a sample, and leave the sample without a mask where that fails.

    For inference, where a mask tells how much of a heatmap lies outside of it, but the prediction needs none: a sector
    that is not found, or a mask file of another size, is a warning with the reason, and not the end of the sample. A
    training must not do without masks in silence; give it these transforms themselves.

    There is no array version, since the transforms work on several keys of a sample.

    Args:
        transforms: dictionary transforms that make a mask (1, spatial...), such as ``LoadMaskd``.
        mask_key: key of the mask, which a sample need not get.
        image_key: key of the image, whose file the warning names.

    Raises:
        TypeError: when something else than a transform is given.
        RuntimeError: on calling, for any other error than that of a file or of values, such as a key that is missing.

    Example:
        >>> import torch
        >>> from monai_debias.transforms import LoadMaskd
        >>> image = torch.zeros(1, 8, 8)
        >>> sorted(TryMaskd([LoadMaskd()])({"image": image, "mask": torch.zeros(1, 4, 4)}))  # of another size
        ['image']
        >>> sorted(TryMaskd([LoadMaskd()])({"image": image, "mask": torch.ones(1, 8, 8)}))
        ['image', 'mask']
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    @expects(transforms=SequenceOf(Instance(Transform)), mask_key=KEY, image_key=KEY)
    def __init__(
        self, transforms: Sequence[Transform], mask_key: Hashable = "mask", image_key: Hashable = "image"
    ) -> None:
        self.transforms = list(transforms)
        self.mask_key = mask_key
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with its mask, or without that key."""
        sample = dict(data)
        try:
            return dict(Compose(self.transforms)(sample))
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.__cause__ or error  # MONAI raises a RuntimeError from the transform's own
            if not isinstance(reason, OSError | ValueError):
                raise
            file = from_files(file_names(sample.get(self.image_key)))
            logging.getLogger(type(self).__name__).warning("no mask for the image%s: %s", file, reason)
            return {key: value for key, value in sample.items() if key != self.mask_key}


TryMaskD = TryMaskDict = TryMaskd
