# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Random transforms of a training at less than half the price: MONAI writes down nothing about them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Randomizable, Transform

__all__ = ["Untracked"]


class Untracked(Randomizable, Transform):
    """Apply a dictionary transform to plain tensors, and give its results the meta of what went in.

    MONAI writes down each step that is taken on a MetaTensor, so that it can be undone, and no step of a training is.
    The values are the same, bit for bit. File names stay, for messages; so does the affine, although pixels may have
    moved: leave this out where something after it uses the affine.

    Args:
        transform: a dictionary transform that needs no meta; ``RandLambdad`` does.

    Example:
        >>> from monai.transforms import RandFlipd
        >>> image = MetaTensor(torch.tensor([[[1.0, 2.0]]]), meta={"filename_or_obj": "a.png"})
        >>> flipped = Untracked(RandFlipd("image", prob=1.0, spatial_axis=1))({"image": image})["image"]
        >>> flipped.as_tensor(), flipped.meta["filename_or_obj"], flipped.applied_operations
        (tensor([[[2., 1.]]]), 'a.png', [])
    """

    def __init__(self, transform: Callable[[Mapping[Hashable, Any]], Mapping[Hashable, Any]]) -> None:
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> Untracked:
        """Seed the transform itself; see ``monai.transforms.Randomizable``."""
        super().set_random_state(seed, state)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to the sample ``data``."""
        meta = {key: value.meta for key, value in data.items() if isinstance(value, MetaTensor)}
        plain = {key: value.as_tensor() if isinstance(value, MetaTensor) else value for key, value in data.items()}
        before = get_track_meta()
        set_track_meta(False)
        try:
            result = self.transform(plain)
        finally:
            set_track_meta(before)
        return {
            key: MetaTensor(value, meta=meta[key]) if key in meta and isinstance(value, torch.Tensor) else value
            for key, value in result.items()
        }
