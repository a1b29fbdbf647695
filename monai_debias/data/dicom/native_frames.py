# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames that are not compressed: their number follows from the number of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_debias.data.dicom.layout import PixelLayout
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder

__all__ = ["NativeFrames"]


class NativeFrames:
    """The frames of a DICOM image that is not compressed.

    Args:
        data: the value of Pixel Data.
        value_type: its value representation, OB or OW.
        decoder: that of pydicom for the byte order.
        layout: what the header says.
        declared: the number of frames in the header.

    Raises:
        FileReadError: if there are fewer bytes than the header promises.
    """

    def __init__(self, data: bytes, value_type: str, decoder: Decoder, layout: PixelLayout, declared: int) -> None:
        self._decoder, self._layout = decoder, layout
        self._count = _count(len(data), declared, layout)
        size = -(-self._count * layout.frame_bits // 8)
        self._data = memoryview(data)[: size + size % 2]
        self._options = {"pixel_vr": value_type, "number_of_frames": self._count}

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._count

    @property
    def largest(self) -> int:
        """Number of pixels of a frame."""
        return self._layout.rows * self._layout.columns

    def decode(self, index: int) -> tuple[np.ndarray, int]:
        """Return the values of a frame, red, green and blue if it has colours, and how many of their bits count."""
        pixels = self._layout.decode(self._decoder, self._data, index, **self._options)
        return self._layout.without_unused_bits(pixels)


def _count(size: int, declared: int, layout: PixelLayout) -> int:
    """Return the number of frames that so many bytes hold, at least the declared number."""
    found, rest = divmod(size * 8, layout.frame_bits)
    expected = -(-declared * layout.frame_bits // 8)
    if found < declared:
        raise FileReadError(
            f"the pixel data has {size} of {expected} bytes for {declared} frames of {layout}: the file is cut short, "
            "or its header is wrong."
        )
    if layout.interpretation == "YBR_FULL_422" and size * 2 >= expected * 3:
        raise FileReadError(
            f"the pixel data has {size} bytes, expected {expected} of YBR_FULL_422: it is rather YBR_FULL or RGB."
        )
    if rest // 8 > 1:  # one byte pads to an even number
        excess = rest // 8
        warn(f"the pixel data has {excess} bytes more than {found} frames of {layout} need; they are ignored.")
    return found
