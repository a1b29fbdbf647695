# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames that are compressed: if the header contradicts what a frame says about itself, the frame is right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.dicom.encapsulation import split_frames
from monai_debias.data.dicom.image_stream import (
    StreamHeader,
    bare_codestream,
    begins_image,
    has_whole_tables,
    is_rle,
    read_stream_header,
    rle_pixels,
    with_rgb_marker,
)
from monai_debias.data.dicom.layout import PixelLayout, value_range
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder

__all__ = ["CompressedFrames"]


class CompressedFrames:
    """The compressed frames of a DICOM image.

    Args:
        data: the value of Pixel Data.
        decoder: that of pydicom for the compression.
        layout: what the header says.
        declared: the number of frames in the header.

    Raises:
        FileReadError: if there are fewer frames than declared; from :meth:`decode` if a frame is damaged, or
            contradicts the header in something that changes the image.
        OptionalImportError: from :meth:`decode` if another plugin may be able to decode a frame.
    """

    def __init__(self, data: bytes, decoder: Decoder, layout: PixelLayout, declared: int) -> None:
        self._decoder, self._layout = decoder, layout
        self._streams = [bare_codestream(frame) for frame in split_frames(data, declared)]
        if len(self._streams) < declared:
            raise FileReadError(
                f"the pixel data holds {len(self._streams)} of {declared} frames: the file is cut short, or "
                "NumberOfFrames is wrong."
            )
        _check_rle(self._streams[0], layout)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._streams)

    @property
    def largest(self) -> int:
        """Number of pixels of the largest frame, as the frames say it themselves."""
        sizes = [read_stream_header(stream) or self._layout for stream in self._streams]
        return max(size.rows * size.columns for size in sizes)

    def decode(self, index: int) -> tuple[np.ndarray, int]:
        """Return the values of a frame, red, green and blue if it has colours, and how many of their bits count."""
        stream = self._streams[index]
        if not begins_image(stream):  # anything else crashes one of the decoders
            raise FileReadError(f"frame {index} of {len(self)} is not a JPEG, JPEG 2000 or RLE image.")
        header = read_stream_header(stream)
        if header is None:
            return self._layout.without_unused_bits(self._decode(stream, index, None, self._layout))
        layout = self._conform(header)
        if layout.samples == 3 and _is_lossy_jpeg(self._decoder):
            pixels = self._lossy_colors(stream, index, header, layout)
        else:
            pixels = self._decode(stream, index, header, layout)
        bits = min(self._layout.bits_stored, header.precision)
        low, high = value_range(bits, layout.signed)
        if low <= pixels.min() and pixels.max() <= high:
            return pixels, bits
        warn(f"BitsStored is {bits}, but a frame has {header.precision} bits, which are used.")
        return pixels, header.precision

    def _decode(self, stream: bytes, index: int, header: StreamHeader | None, layout: PixelLayout) -> np.ndarray:
        from pydicom.encaps import encapsulate

        data = encapsulate([stream], has_bot=False)
        reasons: list[str] = []
        for plugin in sorted(self._decoder.available_plugins, key="gdcm".__eq__):
            if plugin == "gdcm" and not has_whole_tables(stream):  # it would end the process, and so it comes last
                raise self._undecodable(index, None, [*reasons, "it is damaged before its pixels begin"])
            try:
                return layout.decode(self._decoder, data, decoding_plugin=plugin)
            except RuntimeError as error:
                reasons.append(_reason(error))
        raise self._undecodable(index, header, reasons)

    def _lossy_colors(self, stream: bytes, index: int, header: StreamHeader, layout: PixelLayout) -> np.ndarray:
        """Decode the components of a JPEG as they are stored, and convert them if they are not red, green and blue."""
        from pydicom.pixels import convert_color_space

        pixels = self._decode(with_rgb_marker(stream), index, header, replace(layout, interpretation="RGB"))
        if self._is_rgb(header, pixels):
            return pixels
        return convert_color_space(pixels, "YBR_FULL", "RGB")

    def _conform(self, header: StreamHeader) -> PixelLayout:
        """Return the layout of a frame as its codestream has it."""
        layout = self._layout
        if header.components != layout.samples:
            raise FileReadError(
                f"SamplesPerPixel is {layout.samples}, but the compressed frame has {header.components} components."
            )
        if (header.rows, header.columns) != (layout.rows, layout.columns):
            warn(
                f"the header declares {layout.rows} rows x {layout.columns} columns, but the compressed frame has "
                f"{header.rows} x {header.columns}, which is read."
            )
        if header.precision < layout.bits_stored:
            warn(
                f"BitsStored is {layout.bits_stored}, but a compressed frame has {header.precision} bits, "
                "which is used."
            )
        interpretation = layout.interpretation
        if header.color == "RGB":
            if interpretation in ("YBR_FULL", "YBR_FULL_422"):
                warn(f"the header says {interpretation}, but the compressed frame is RGB.")
            interpretation = "RGB"
        return replace(
            layout,
            rows=header.rows,
            columns=header.columns,
            bits_allocated=8 if header.precision <= 8 else 16,
            bits_stored=header.precision,
            interpretation=interpretation,
        )

    def _is_rgb(self, header: StreamHeader, pixels: np.ndarray) -> bool:
        """Tell whether the decoded components of a lossy JPEG are red, green and blue, or luminance and two colours.

        A stream that says it by a marker is right, as for any viewer. One that has the components 1, 2, 3 and no marker
        is YBR by the rule of libjpeg; some writers of DICOM follow it and write RGB into the header, others really
        store RGB. Medical images are grey for the most part: as YBR, grey is (v, 128, 128), as RGB (v, v, v). The
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
                warn(f"the header says RGB, an unmarked JPEG is YBR; by their colours they are {color}.")
        elif color == "YBR" and label == "RGB":
            warn("the header says RGB, but the compressed frame is YBR.")
        return (color or label) == "RGB"

    def _undecodable(self, index: int, header: StreamHeader | None, reasons: Sequence[str]) -> Exception:
        """The error after all plugins have failed."""
        found = f"frame {index} of {len(self)} cannot be decoded ({'; '.join(reasons)})"
        others = "; ".join(self._decoder.missing_dependencies)
        if header is not None and header.precision > 8 and others:
            return OptionalImportError(f"{found}; frames of {header.precision} bits may need another plugin: {others}.")
        return FileReadError(found)


def _reason(error: RuntimeError) -> str:
    """What pydicom says of the plugin that failed, in one line."""
    reason = re.sub(r" *<_io\S+ object at \w+>", "", str(error).partition("plugins:")[2])
    return " ".join(reason.split())


def _check_rle(stream: bytes, layout: PixelLayout) -> None:
    """Warn if a frame has more rows or columns than the header says, of which RLE itself says nothing."""
    if not is_rle(stream):
        return
    excess = rle_pixels(stream) - layout.rows * layout.columns
    if excess >= min(layout.rows, layout.columns):
        warn(f"a frame has {excess} pixels more than {layout.rows} rows x {layout.columns} columns; they are ignored.")


def _is_lossy_jpeg(decoder: Decoder) -> bool:
    from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

    return decoder.UID in (JPEGBaseline8Bit, JPEGExtended12Bit)
