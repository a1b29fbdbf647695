# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The values of a DICOM image as they are stored, compressed or not, frame by frame."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.dicom.compressed_frames import CompressedFrames
from monai_debias.data.dicom.layout import PixelLayout, read_layout
from monai_debias.data.dicom.native_frames import NativeFrames
from monai_debias.data.dicom.values import whole_number
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

__all__ = ["StoredPixels"]


class StoredPixels:
    """The frames of a DICOM image, decoded but not mapped to anything; overlay planes are left out.

    Colours come as red, green and blue: YBR_FULL, YBR_FULL_422, YBR_ICT and YBR_RCT are converted.

    If the header contradicts the pixel data, the pixel data counts, with a warning: more frames than Number of Frames
    declares are all read; size, precision and colour space of a compressed frame are those of its codestream. (A JPEG
    whose components are 1, 2, 3 and which has no marker counts as YBR, even if the header says RGB, unless its pixels
    show the opposite, see ``CompressedFrames``.)

    Args:
        dataset: a pydicom data set with PixelData.

    Attributes:
        layout: what the header says of each frame.
        n_frames: number of frames, at least 1.

    Raises:
        FileReadError: if the pixel data has fewer frames than the header promises, or the header makes no sense or is
            of a kind that is not supported; from :meth:`decode` if a frame is damaged.
        OptionalImportError: if the compression needs a pydicom plugin that is not installed; it says which.

    Example:
        >>> from pydicom import dcmread
        >>> from pydicom.data import get_testdata_file
        >>> pixels, bits = StoredPixels(dcmread(get_testdata_file("CT_small.dcm"))).decode(0)
        >>> pixels.shape, pixels.dtype, bits
        ((128, 128), dtype('int16'), 16)
    """

    def __init__(self, dataset: Dataset) -> None:
        self.layout = read_layout(dataset)
        declared = whole_number(dataset, "NumberOfFrames") or 0
        self._frames = _open_frames(dataset, self.layout, max(declared, 1))
        self.n_frames = len(self._frames)
        if self.n_frames > max(declared, 1):
            warn(
                f"the pixel data holds {self.n_frames} frames, but NumberOfFrames is {declared or 'missing'}; all of "
                "them are read."
            )

    @property
    def largest(self) -> int:
        """Number of pixels of the largest frame."""
        return self._frames.largest

    def decode(self, index: int) -> tuple[np.ndarray, int]:
        """Decode one frame.

        Args:
            index: which, from 0.

        Returns:
            The values, (rows, columns) or (rows, columns, 3), signed if the header says so, and how many of their bits
            count.
        """
        return self._frames.decode(index)


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
            f"the compression {syntax.name} needs a plugin of pydicom: pip install {packages_of(decoder)} (or one of "
            f"the others: {'; '.join(decoder.missing_dependencies)})."
        )
    return decoder


def packages_of(decoder: Decoder) -> str:
    """The packages of the first plugin that can decode this, as pip knows them."""
    modules = re.findall(r"([\w-]+)>=", decoder.missing_dependencies[0])
    return " ".join("python-gdcm" if module == "gdcm" else module for module in modules)


def _pixel_bytes(dataset: Dataset) -> bytes:
    element = dataset["PixelData"]
    if not isinstance(element.value, bytes):
        raise FileReadError("the pixel data is empty, or is not bytes: the file is damaged.")
    syntax = dataset.file_meta.TransferSyntaxUID
    if element.is_undefined_length and not syntax.is_encapsulated:
        raise FileReadError(f"the pixel data is compressed, but the transfer syntax is {syntax.name}.")
    return element.value
