# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""One frame of an ultrasound clip: a fixed one for evaluation, a random one for training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, RandomizableTransform, Transform
from monai.utils import MetaKeys, TransformBackends, convert_to_tensor

from monai_debias.constraints import BOOL, KEYS
from monai_debias.data.frame_index import FRAME, frame_index
from monai_debias.parameters import expects

__all__ = [
    "RandSelectFrame",
    "RandSelectFrameD",
    "RandSelectFrameDict",
    "RandSelectFramed",
    "SelectFrame",
    "SelectFrameD",
    "SelectFrameDict",
    "SelectFramed",
]


class SelectFrame(Transform):
    """Take one frame of a clip; a still passes unchanged.

    Shape: (C, rows, columns, frames) becomes (C, rows, columns); (C, rows, columns) stays. The affine is kept: its
    first two axes are those of the frame.

    Args:
        frame: ``"middle"`` (index ``n // 2``), ``"first"``, or an index; a negative one counts from the end.

    Raises:
        ValueError: if ``frame`` is none of these; on calling, if the clip has no such frame or the image has another
            number of dimensions.

    Example:
        >>> SelectFrame("middle")(torch.arange(5.0).expand(1, 8, 8, 5))[0, 0, 0].item()
        2.0
    """

    backend = [TransformBackends.TORCH]

    @expects(frame=FRAME)
    def __init__(self, frame: str | int = "middle") -> None:
        self.frame = frame

    def __call__(self, img: NdarrayOrTensor) -> torch.Tensor:
        """Apply to one image.

        Args:
            img: clip or still, channel first.
        """
        return _take(img, lambda n_frames: frame_index(self.frame, n_frames))


class RandSelectFrame(RandomizableTransform):
    """Take a random frame of a clip, each with the same probability; a still passes unchanged.

    Shape: (C, rows, columns, frames) becomes (C, rows, columns); (C, rows, columns) stays.

    Raises:
        ValueError: on calling, if the image has another number of dimensions.

    Example:
        >>> RandSelectFrame().set_random_state(0)(torch.zeros(1, 8, 8, 5)).shape
        torch.Size([1, 8, 8])
    """

    backend = [TransformBackends.TORCH]

    def __init__(self) -> None:
        super().__init__(prob=1.0)
        self._position = 0.0

    def randomize(self, data: Any = None) -> None:
        """Draw the relative position in the clip, which serves clips of any length.

        Args:
            data: not used.
        """
        super().randomize(None)
        self._position = self.R.uniform()

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> torch.Tensor:
        """Apply to one image.

        Args:
            img: clip or still, channel first.
            randomize: whether to draw a new position first.
        """
        if randomize:
            self.randomize()
        return _take(img, lambda n_frames: int(self._position * n_frames))


class SelectFramed(MapTransform):
    """Dictionary version of :class:`SelectFrame`.

    Args:
        keys: keys of the clips or stills.
        frame: see :class:`SelectFrame`.
        allow_missing_keys: whether a sample may lack a key.

    Raises:
        ValueError: see :class:`SelectFrame`.

    Example:
        >>> SelectFramed("image", frame=-1)({"image": torch.zeros(1, 8, 8, 5)})["image"].shape
        torch.Size([1, 8, 8])
    """

    backend = SelectFrame.backend

    @expects(keys=KEYS, frame=FRAME, allow_missing_keys=BOOL)
    def __init__(self, keys: KeysCollection, frame: str | int = "middle", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.select = SelectFrame(frame)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Apply to one sample.

        Args:
            data: the sample.
        """
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.select(sample[key])
        return sample


class RandSelectFramed(RandomizableTransform, MapTransform):
    """Dictionary version of :class:`RandSelectFrame`; clips of one sample that are equally long give the same frame.

    Args:
        keys: keys of the clips or stills.
        allow_missing_keys: whether a sample may lack a key.

    Raises:
        ValueError: see :class:`RandSelectFrame`.

    Example:
        >>> RandSelectFramed("image").set_random_state(0)({"image": torch.zeros(1, 8, 8, 5)})["image"].shape
        torch.Size([1, 8, 8])
    """

    backend = RandSelectFrame.backend

    @expects(keys=KEYS, allow_missing_keys=BOOL)
    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.select = RandSelectFrame()

    def set_random_state(self, seed: int | None = None, state: Any = None) -> RandSelectFramed:
        """Set the random state of this transform and of the array version that it uses.

        Args:
            seed: seed of the random numbers.
            state: a numpy RandomState instead.
        """
        super().set_random_state(seed, state)
        self.select.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Apply to one sample.

        Args:
            data: the sample.
        """
        sample = dict(data)
        self.select.randomize()
        for key in self.key_iterator(sample):
            sample[key] = self.select(sample[key], randomize=False)
        return sample


def _take(img: NdarrayOrTensor, choose: Any) -> torch.Tensor:
    image = convert_to_tensor(img, track_meta=get_track_meta())
    if image.ndim == 3:
        return image
    if image.ndim != 4:
        raise ValueError(
            f"the image has shape {tuple(image.shape)}, expected a clip (C, rows, columns, frames) or a still "
            "(C, rows, columns)."
        )
    frame = image[..., choose(image.shape[-1])]
    if isinstance(frame, MetaTensor):
        frame.affine = frame.affine  # makes MetaTensor count its spatial dimensions again
        if MetaKeys.SPATIAL_SHAPE in frame.meta:
            frame.meta[MetaKeys.SPATIAL_SHAPE] = frame.meta[MetaKeys.SPATIAL_SHAPE][:2]
    return frame


SelectFrameD = SelectFrameDict = SelectFramed
RandSelectFrameD = RandSelectFrameDict = RandSelectFramed
