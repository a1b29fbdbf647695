# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of DICOM pixel data to what a screen would show, frame by frame."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.dicom_layout import PixelLayout, read_layout
from monai_debias.data.dicom_palette import Palette
from monai_debias.data.dicom_values import whole_number
from monai_debias.data.encapsulation import split_frames
from monai_debias.data.image_stream import (
    StreamHeader,
    bare_codestream,
    begins_image,
    is_rle,
    read_stream_header,
    rle_pixels,
    with_rgb_marker,
)
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

__all__ = ["DicomPixels", "to_display_range"]


class DicomPixels:
    """The frames of a DICOM image, decoded to grey or red, green and blue display values in [0, 255].

    - up to 8 bits stored: the stored values as uint8; more: the stored range is mapped to [0, 255] as float32. VOI
      windows are not applied: ultrasound is stored as it was displayed.
    - MONOCHROME1 is inverted, so that large values are bright.
    - YBR_FULL, YBR_FULL_422, YBR_ICT and YBR_RCT become RGB; PALETTE COLOR goes through its tables.

    Where the header contradicts the pixel data, the data is right, with a warning: more frames than Number of Frames
    tells of are all read; size, precision and colour space of a compressed frame are those of its codestream. (A JPEG
    whose components are 1, 2, 3 and that has no marker counts as YBR, even if the header says RGB, unless its pixels
    show the opposite, see ``_is_rgb``.)

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
        self._dataset = dataset
        self._layout = read_layout(dataset)
        self._decoder = _get_decoder(dataset)
        self._palette = Palette(dataset) if self._layout.interpretation == "PALETTE COLOR" else None
        self._said: set[str] = set()
        self._is_rle_checked = False
        declared = whole_number(dataset, "NumberOfFrames") or 0
        data = _pixel_bytes(dataset)
        if self._decoder.is_encapsulated:
            self._streams = split_frames(data, max(declared, 1))
            self.n_frames = len(self._streams)
            if self.n_frames < max(declared, 1):
                raise FileReadError(
                    f"the pixel data holds {self.n_frames} of {max(declared, 1)} frames: the file is cut short, or "
                    "NumberOfFrames is wrong"
                )
        else:
            self.n_frames = _count_native(len(data), max(declared, 1), self._layout)
            size = -(-self.n_frames * self._layout.frame_bits // 8)
            self._data = memoryview(data)[: size + size % 2]
        if self.n_frames > max(declared, 1):
            warn(
                f"the pixel data holds {self.n_frames} frames, but NumberOfFrames is {declared or 'missing'}; all of "
                "them are read"
            )

    @property
    def frame_bytes(self) -> int:
        """Size of the largest decoded frame in bytes; of compressed frames as they say it themselves."""
        streams = self._streams if self._decoder.is_encapsulated else []
        sizes = [read_stream_header(bare_codestream(stream)) or self._layout for stream in streams] or [self._layout]
        samples = self._layout.samples if self._palette is None else 3
        bytes_per_sample = 1 if self._layout.bits_stored <= 8 else 4
        return max(size.rows * size.columns for size in sizes) * samples * bytes_per_sample

    def frame(self, index: int) -> np.ndarray:
        """Decode one frame.

        Args:
            index: which, from 0.

        Returns:
            An array (rows, columns) or (rows, columns, 3).
        """
        pixels, bits = self._compressed(index) if self._decoder.is_encapsulated else self._native(index)
        if self._palette is not None:
            return self._palette.colors(pixels)
        if self._layout.interpretation == "MONOCHROME1":
            pixels = (2**bits - 1) - pixels
        return to_display_range(pixels, bits)

    def _native(self, index: int) -> tuple[np.ndarray, int]:
        options = {"pixel_vr": self._dataset["PixelData"].VR, "number_of_frames": self.n_frames}
        pixels = self._decode(self._data, index, self._layout, **options)
        return self._without_unused_bits(pixels), self._layout.bits_stored

    def _compressed(self, index: int) -> tuple[np.ndarray, int]:
        from pydicom.encaps import encapsulate
        from pydicom.pixels import convert_color_space

        stream = bare_codestream(self._streams[index])
        if not begins_image(stream):  # what is none crashes one of the decoders
            raise FileReadError(f"frame {index} of {self.n_frames} is not a JPEG, JPEG 2000 or RLE image")
        header = read_stream_header(stream)
        layout = self._layout if header is None else self._conform(header)
        is_lossy_color = header is not None and layout.samples == 3 and _is_lossy_jpeg(self._decoder)
        if is_lossy_color:
            stream, layout = with_rgb_marker(stream), replace(layout, interpretation="RGB")
        try:
            pixels = self._decode(encapsulate([stream], has_bot=False), 0, layout)
        except RuntimeError as error:
            raise self._decoding_error(index, header, error) from error
        if header is None:
            self._check_rle(stream)
            return self._without_unused_bits(pixels), layout.bits_stored
        if is_lossy_color and not self._is_rgb(header, pixels):
            pixels = convert_color_space(pixels, "YBR_FULL", "RGB")
        bits = min(self._layout.bits_stored, header.precision)
        if pixels.max() < 2**bits:
            return pixels, bits
        self._warn_once(f"BitsStored is {bits}, but a frame has {header.precision} bits, which are used")
        return pixels, header.precision

    def _decode(self, data: bytes | memoryview, index: int, layout: PixelLayout, **options: Any) -> np.ndarray:
        options = {**_options(layout), "correct_unused_bits": False, **options}
        pixels, properties = self._decoder.as_array(data, index=index, **options)
        if properties["photometric_interpretation"] in ("YBR_ICT", "YBR_RCT"):
            raise FileReadError(f"the type {layout.interpretation} belongs to JPEG 2000, which this is not")
        return pixels

    def _without_unused_bits(self, pixels: np.ndarray) -> np.ndarray:
        bits = self._layout.bits_stored
        largest = pixels.dtype.type(2**bits - 1)
        if pixels.max() <= largest:
            return pixels
        self._warn_once(f"values have more than the {bits} bits of BitsStored; the upper bits are ignored")
        return pixels & largest

    def _conform(self, header: StreamHeader) -> PixelLayout:
        """Return the layout of a frame as its codestream has it."""
        layout = self._layout
        if header.components != layout.samples:
            raise FileReadError(
                f"SamplesPerPixel is {layout.samples}, but the compressed frame has {header.components} components"
            )
        if (header.rows, header.columns) != (layout.rows, layout.columns):
            self._warn_once(
                f"the header tells of {layout.rows} rows x {layout.columns} columns, but the compressed frame has "
                f"{header.rows} x {header.columns}, which is read"
            )
        if header.precision < layout.bits_stored:
            self._warn_once(
                f"BitsStored is {layout.bits_stored}, but a compressed frame has {header.precision} bits, which is used"
            )
        interpretation = layout.interpretation
        if header.color == "RGB":
            if interpretation in ("YBR_FULL", "YBR_FULL_422"):
                self._warn_once(f"the header says {interpretation}, but the compressed frame is RGB")
            interpretation = "RGB"
        return replace(
            layout,
            rows=header.rows,
            columns=header.columns,
            bits_allocated=8 if header.precision <= 8 else 16,
            bits_stored=header.precision,
            interpretation=interpretation,
        )

    def _check_rle(self, stream: bytes) -> None:
        """Warn if a frame has more rows or columns than the header says, of which RLE itself says nothing."""
        if self._is_rle_checked or not is_rle(stream):
            return
        self._is_rle_checked = True  # counting takes time, and frames of one file are alike
        rows, columns = self._layout.rows, self._layout.columns
        excess = rle_pixels(stream) - rows * columns
        if excess >= min(rows, columns):
            warn(f"a frame has {excess} pixels more than {rows} rows x {columns} columns; they are ignored")

    def _is_rgb(self, header: StreamHeader, pixels: np.ndarray) -> bool:
        """Tell whether the decoded components of a lossy JPEG are red, green and blue, or luminance and two colours.

        A stream that says it by a marker is right, as for any viewer. One that has the components 1, 2, 3 and no marker
        is YBR by the rule of libjpeg; some writers of DICOM follow it and write RGB into the header, others really
        store RGB. An ultrasound image is grey for the most part: as YBR, grey is (v, 128, 128), as RGB (v, v, v). The
        wrong choice would turn black into grey or green.
        """
        label, color = self._layout.interpretation, header.color
        if color == "YBR by default":
            color = "YBR"
            if label == "RGB":
                first, second, third = np.moveaxis(pixels[::4, ::4].astype(np.int16), -1, 0)
                from_grey_ybr = np.median(abs(second - 128) + abs(third - 128))
                from_grey_rgb = np.median(abs(first - second) + abs(first - third))
                color = "RGB" if from_grey_rgb < from_grey_ybr else "YBR"
                self._warn_once(f"the header says RGB, an unmarked JPEG is YBR; by their colours they are {color}")
        elif color == "YBR" and label == "RGB":
            self._warn_once("the header says RGB, but the compressed frame is YBR")
        return (color or label) == "RGB"

    def _decoding_error(self, index: int, header: StreamHeader | None, error: Exception) -> Exception:
        reasons = re.sub(r" *<_io\S+ object at \w+>", "", str(error).partition("plugins:")[2])
        found = f"frame {index} of {self.n_frames} cannot be decoded ({' '.join(reasons.split())})"
        others = "; ".join(self._decoder.missing_dependencies)
        if header is not None and header.precision > 8 and others:
            return OptionalImportError(f"{found}; frames of {header.precision} bits may need another plugin: {others}")
        return FileReadError(found)

    def _warn_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            warn(message)


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


def _get_decoder(dataset: Dataset) -> Decoder:
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise FileReadError(
            f"pydicom cannot decode the transfer syntax {syntax.name}; convert the file first"
        ) from error
    if not decoder.is_available:
        raise OptionalImportError(
            f"the compression {syntax.name} needs a plugin of pydicom; install one of: "
            f"{'; '.join(decoder.missing_dependencies)} (see https://pydicom.github.io, 'installing plugins')"
        )
    return decoder


def _pixel_bytes(dataset: Dataset) -> bytes:
    element = dataset["PixelData"]
    if not isinstance(element.value, bytes):
        raise FileReadError("the pixel data is empty, or no pixel data at all")
    syntax = dataset.file_meta.TransferSyntaxUID
    if element.is_undefined_length and not syntax.is_encapsulated:
        raise FileReadError(f"the pixel data is compressed, but the transfer syntax is {syntax.name}, which is not")
    return element.value


def _is_lossy_jpeg(decoder: Decoder) -> bool:
    from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

    return decoder.UID in (JPEGBaseline8Bit, JPEGExtended12Bit)


def _count_native(size: int, declared: int, layout: PixelLayout) -> int:
    """Return the number of frames that so many bytes hold, at least the declared."""
    found, rest = divmod(size * 8, layout.frame_bits)
    expected = -(-declared * layout.frame_bits // 8)
    if found < declared:
        raise FileReadError(
            f"the pixel data has {size} of {expected} bytes for {declared} frames of {layout}: the file is cut short, "
            "or its header is wrong"
        )
    if layout.interpretation == "YBR_FULL_422" and size * 2 >= expected * 3:
        raise FileReadError(f"the pixel data has {size} bytes, {expected} are YBR_FULL_422; it is YBR_FULL or RGB")
    if rest // 8 > 1:  # one byte pads to an even number
        excess = rest // 8
        warn(f"the pixel data has {excess} bytes more than {found} frames of {layout} need, which are ignored")
    return found


def _options(layout: PixelLayout) -> dict[str, Any]:
    """Return what pydicom's decoders want to know of a frame."""
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "photometric_interpretation": layout.interpretation,
        "planar_configuration": int(layout.planar),
        "pixel_representation": 0,
        "pixel_keyword": "PixelData",
        "number_of_frames": 1,
    }
