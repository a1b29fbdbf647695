# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of DICOM pixel data to what a screen would show, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_debias.data.dicom.palette import Palette
from monai_debias.data.dicom.stored import StoredPixels
from monai_debias.data.reading import FileReadError

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["DicomPixels", "to_display_range"]


class DicomPixels:
    """The frames of a DICOM image, decoded to grey or red, green and blue display values in [0, 255].

    - up to 8 bits stored: the stored values as uint8; more: the stored range is mapped to [0, 255] as float32. VOI
      windows are not applied.
    - MONOCHROME1 is inverted, so that large values are bright.
    - YBR_FULL, YBR_FULL_422, YBR_ICT and YBR_RCT become RGB; PALETTE COLOR goes through its tables.

    Args:
        dataset: a pydicom data set with PixelData.

    Raises:
        FileReadError: as :class:`~monai_debias.data.dicom.stored.StoredPixels`, and if the pixels are signed or the
            palette makes no sense.
        OptionalImportError: if the compression needs a pydicom plugin that is not installed; it says which.

    Example:
        >>> import pydicom.examples
        >>> pixels = DicomPixels(pydicom.examples.ybr_color)
        >>> pixels.n_frames, pixels.frame(0).shape, pixels.frame(0).dtype
        (30, (240, 320, 3), dtype('uint8'))
    """

    display_range = (0.0, 255.0)

    def __init__(self, dataset: Dataset) -> None:
        self._stored = StoredPixels(dataset)
        self._layout = self._stored.layout
        self.n_frames = self._stored.n_frames
        if self._layout.signed:
            raise FileReadError(
                "the pixels are signed (Pixel Representation), which is not supported; "
                "read the file with another reader, such as monai.data.PydicomReader."
            )
        self._palette = Palette(dataset) if self._layout.interpretation == "PALETTE COLOR" else None

    @property
    def frame_bytes(self) -> int:
        """Size of the largest decoded frame in bytes."""
        samples = self._layout.samples if self._palette is None else 3
        return self._stored.largest * samples * (1 if self._layout.bits_stored <= 8 else 4)

    def frame(self, index: int) -> np.ndarray:
        """Decode one frame.

        Args:
            index: which, from 0.

        Returns:
            An array (rows, columns) or (rows, columns, 3).
        """
        pixels, bits = self._stored.decode(index)
        if self._palette is not None:
            return self._palette.colors(pixels)
        if self._layout.interpretation == "MONOCHROME1":
            pixels = (2**bits - 1) - pixels
        return to_display_range(pixels, bits)


def to_display_range(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Map unsigned stored values of more than 8 bits to [0, 255] as float32; keep others, as uint8.

    Args:
        pixels: unsigned integers of any shape.
        bits: the number of bits that are used, so that the largest possible value is 2 ** bits - 1.

    Returns:
        An array of the same shape.

    Example:
        >>> to_display_range(np.array([0, 4095], dtype=np.uint16), bits=12)
        array([  0., 255.], dtype=float32)
    """
    if bits <= 8:
        return pixels.astype(np.uint8)
    return (pixels.astype(np.float64) * (255.0 / (2**bits - 1))).astype(np.float32)
