# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Removes the masks that semi-supervised BackMix must not see."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends

from monai_debias.constraints import KEY, KEYS
from monai_debias.parameters import expects

__all__ = ["KeepMaskD", "KeepMaskDict", "KeepMaskd"]


class KeepMaskd(MapTransform):
    """Delete the mask of a sample whose flag is False; a sample whose flag is True passes unchanged.

    The flags come from :func:`monai_debias.data.splits.keep_mask_fraction`. Placed before masks are loaded, it also
    saves reading unused ones; placed after a transform that estimates masks, it removes these. There is no array
    version, since the transform works on a key of a dictionary.

    Args:
        mask_key: key (or keys) of the mask, of any shape or not loaded yet; a sample may lack it.
        flag_key: key of the bool flag.

    Raises:
        KeyError: on calling, if the sample has no flag.
        TypeError: on calling, if the flag is not a bool.

    Example:
        >>> KeepMaskd("mask")({"image": "a.png", "mask": "a_mask.png", "use_mask": False})
        {'image': 'a.png', 'use_mask': False}
    """

    backend = [TransformBackends.NUMPY, TransformBackends.TORCH]

    @expects(mask_key=KEYS, flag_key=KEY)
    def __init__(self, mask_key: KeysCollection, flag_key: str = "use_mask") -> None:
        super().__init__(mask_key, allow_missing_keys=True)
        self.flag_key = flag_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one sample.

        Args:
            data: the sample.
        """
        sample = dict(data)
        if self.flag_key not in sample:
            raise KeyError(
                f"the sample has no flag {self.flag_key!r}, it has {', '.join(map(str, sample))}; "
                "mark the items first, with monai_debias.data.splits.keep_mask_fraction."
            )
        flag = sample[self.flag_key]
        if not isinstance(flag, bool | np.bool_):
            raise TypeError(f"the flag {self.flag_key!r} is {flag!r}, expected True or False.")
        if not flag:
            for key in self.key_iterator(sample):
                del sample[key]
        return sample


KeepMaskD = KeepMaskDict = KeepMaskd
