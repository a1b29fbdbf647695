# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The frames of a DICOM image of any modality, and what its header says of their spacing and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from monai_debias.data.dicom.dataset import open_dicom, read_content, require_pixels
from monai_debias.data.dicom.pixels import DicomPixels
from monai_debias.data.dicom.values import numbers, optional, positive_numbers
from monai_debias.data.formats.clip import display_range
from monai_debias.data.reading import warn

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["DicomClip", "Frames", "read_dicom"]

_FRAME_TIME_VECTOR = 0x00181065


class Frames(Protocol):
    """What decodes the pixels of a data set to values between black and white.

    Attributes:
        n_frames: number of frames, at least 1.
        display_range: the values of black and white.
    """

    n_frames: int
    display_range: tuple[float, float]

    @property
    def frame_bytes(self) -> int:
        """Size of the largest decoded frame in bytes."""

    def frame(self, index: int) -> np.ndarray:
        """Decode one frame to (rows, columns) or (rows, columns, 3)."""


class DicomClip:
    """A still or a clip in a DICOM data set.

    Args:
        dataset: a pydicom data set with PixelData.
        pixels: what decodes its frames; None for :class:`~monai_debias.data.dicom.pixels.DicomPixels`.
    """

    def __init__(self, dataset: Dataset, pixels: Frames | None = None) -> None:
        self._dataset = dataset
        self._pixels = DicomPixels(dataset) if pixels is None else pixels
        self.n_frames = self._pixels.n_frames

    @property
    def frame_bytes(self) -> int:
        """Size of the largest decoded frame in bytes."""
        return self._pixels.frame_bytes

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield the frames with these indices, None for all, each (rows, columns) or (rows, columns, 3)."""
        return map(self._pixels.frame, range(self.n_frames) if indices is None else indices)

    def spacing(self, rows: int, columns: int) -> tuple[float, ...] | None:
        """The spacing of pixels in mm, (row, column), in frames of this size; None if it is unknown."""
        return optional(positive_numbers(2), self._dataset, "PixelSpacing")

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return ``display_range``, and ``spacing`` and ``frame_time``, each if the header gives it."""
        spacing, frame_time = self.spacing(rows, columns), _frame_time(self._dataset, self.n_frames)
        return {
            **display_range(*self._pixels.display_range),
            **({} if spacing is None else {"spacing": torch.tensor(spacing, dtype=torch.float64)}),
            **({} if frame_time is None else {"frame_time": frame_time}),
        }


def read_dicom(path: Path) -> DicomClip:
    """Read a DICOM file and check that it has an image; the pixels are not decoded.

    Args:
        path: the file.

    Returns:
        The clip.

    Raises:
        UnrelatedFileError: if it is not DICOM, or of a kind without pixels.
        FileReadError: if its pixels are missing, or its header makes no sense.
    """
    dataset = open_dicom(path)
    require_pixels(dataset, read_content(dataset))
    return DicomClip(dataset)


def _frame_time(dataset: Dataset, n_frames: int) -> float | None:
    """Return the milliseconds between two frames by the first element that tells them, None if none does."""
    time = optional(positive_numbers(1), dataset, "FrameTime")
    pointers = optional(numbers, dataset, "FrameIncrementPointer") or ()  # to the element that is valid
    if time is not None and _FRAME_TIME_VECTOR not in pointers:
        return time[0]
    times = optional(numbers, dataset, "FrameTimeVector")
    if times is not None and n_frames > 1:
        if len(times) == n_frames and min(times[1:]) > 0:  # the first frame has none before it
            return sum(times[1:]) / (n_frames - 1)
        warn(f"FrameTimeVector has {len(times)} values, not all above 0, for {n_frames} frames; it counts as unknown.")
    if time is not None:
        return time[0]
    rate = optional(positive_numbers(1), dataset, "CineRate")
    return None if rate is None else 1000.0 / rate[0]
