# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Random transforms of a training at less than half the price: MONAI writes down nothing about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
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

    MONAI's switch is one for the whole process. It is off while any thread is in here, and back as it was when none is;
    what other threads do to MetaTensors meanwhile goes unwritten, too. Workers of a ``DataLoader`` are processes.

    Args:
        transform: a dictionary transform that needs no meta; ``RandLambdad`` does. It may return a list of samples.

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

    def __call__(self, data: Mapping[Hashable, Any]) -> Any:
        """Apply to the sample ``data``."""
        meta = {key: value.meta for key, value in data.items() if isinstance(value, MetaTensor)}
        plain = {key: value.as_tensor() if isinstance(value, MetaTensor) else value for key, value in data.items()}
        with _switch.off():
            result = self.transform(plain)
        samples = [_with_meta(sample, meta) for sample in (result if isinstance(result, list) else [result])]
        return samples if isinstance(result, list) else samples[0]


def _with_meta(sample: Mapping[Hashable, Any], meta: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    return {
        key: MetaTensor(value, meta=meta[key]) if key in meta and isinstance(value, torch.Tensor) else value
        for key, value in sample.items()
    }


class _Switch:
    """MONAI's tracking of meta, which the first thread that comes turns off and the last that leaves turns back."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, True

    @contextmanager
    def off(self) -> Iterator[None]:
        with self.lock:
            if self.inside == 0:
                self.before = get_track_meta()
                set_track_meta(False)
            self.inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if self.inside == 0:
                    set_track_meta(self.before)


_switch = _Switch()
