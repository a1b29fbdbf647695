# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of DICOM pixel data to what a screen would show, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.dicom.compressed_frames import CompressedFrames
from monai_debias.data.dicom.layout import PixelLayout, read_layout
from monai_debias.data.dicom.native_frames import NativeFrames
from monai_debias.data.dicom.palette import Palette
from monai_debias.data.dicom.values import whole_number
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

__all__ = ["DicomPixels", "to_display_range"]


class DicomPixels:
    """The frames of a DICOM image, decoded to grey or red, green and blue display values in [0, 255].

    - up to 8 bits stored: the stored values as uint8; more: the stored range is mapped to [0, 255] as float32. VOI
      windows are not applied.
    - MONOCHROME1 is inverted, so that large values are bright.
    - YBR_FULL, YBR_FULL_422, YBR_ICT and YBR_RCT become RGB; PALETTE COLOR goes through its tables.

    Where the header contradicts the pixel data, the data is right, with a warning: more frames than Number of Frames
    tells of are all read; size, precision and colour space of a compressed frame are those of its codestream. (A JPEG
    whose components are 1, 2, 3 and that has no marker counts as YBR, even if the header says RGB, unless its pixels
    show the opposite, see ``CompressedFrames``.)

    Args:
        dataset: a pydicom data set with PixelData.

    Raises:
        FileReadError: if the pixel data has fewer frames than the header promises, or the header makes no sense or is
            of a kind that is not supported; from :meth:`frame` if a frame is damaged.
        OptionalImportError: if the compression needs a pydicom plugin that is not installed; it says which.

    Example:
        >>> import pydicom.examples
        >>> pixels = DicomPixels(pydicom.examples.ybr_color)
        >>> pixels.n_frames, pixels.frame(0).shape, pixels.frame(0).dtype
        (30, (240, 320, 3), dtype('uint8'))
    """

    def __init__(self, dataset: Dataset) -> None:
        self._layout = read_layout(dataset)
        self._palette = Palette(dataset) if self._layout.interpretation == "PALETTE COLOR" else None
        declared = whole_number(dataset, "NumberOfFrames") or 0
        self._frames = _open_frames(dataset, self._layout, max(declared, 1))
        self.n_frames = len(self._frames)
        if self.n_frames > max(declared, 1):
            warn(
                f"the pixel data holds {self.n_frames} frames, but NumberOfFrames is {declared or 'missing'}; all of "
                "them are read."
            )

    @property
    def frame_bytes(self) -> int:
        """Size of the largest decoded frame in bytes."""
        samples = self._layout.samples if self._palette is None else 3
        return self._frames.largest * samples * (1 if self._layout.bits_stored <= 8 else 4)

    def frame(self, index: int) -> np.ndarray:
        """Decode one frame.

        Args:
            index: which, from 0.

        Returns:
            An array (rows, columns) or (rows, columns, 3).
        """
        pixels, bits = self._frames.decode(index)
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


def _open_frames(dataset: Dataset, layout: PixelLayout, declared: int) -> CompressedFrames | NativeFrames:
    decoder, data = _get_decoder(dataset), _pixel_bytes(dataset)
    if decoder.is_encapsulated:
        return CompressedFrames(data, decoder, layout, declared)
    return NativeFrames(data, dataset["PixelData"].VR, decoder, layout, declared)


def _get_decoder(dataset: Dataset) -> Decoder:
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise FileReadError(
            f"pydicom cannot decode the transfer syntax {syntax.name}; convert the file first."
        ) from error
    if not decoder.is_available:
        raise OptionalImportError(
            f"the compression {syntax.name} needs a plugin of pydicom; install one of: "
            f"{'; '.join(decoder.missing_dependencies)} (see https://pydicom.github.io, 'installing plugins')."
        )
    return decoder


def _pixel_bytes(dataset: Dataset) -> bytes:
    element = dataset["PixelData"]
    if not isinstance(element.value, bytes):
        raise FileReadError("the pixel data is empty, or no pixel data at all.")
    syntax = dataset.file_meta.TransferSyntaxUID
    if element.is_undefined_length and not syntax.is_encapsulated:
        raise FileReadError(f"the pixel data is compressed, but the transfer syntax is {syntax.name}, which is not.")
    return element.value
