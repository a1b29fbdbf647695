# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a compressed image says about itself, independently of the DICOM header.

A JPEG, JPEG-LS or JPEG 2000 codestream has its own size, number of components, precision and, more or less clearly,
colour space. They are what the decoder goes by, so they are right where the header contradicts them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

__all__ = [
    "StreamHeader",
    "bare_codestream",
    "begins_image",
    "has_whole_tables",
    "is_rle",
    "read_stream_header",
    "rle_pixels",
    "with_rgb_marker",
]

_JPEG = b"\xff\xd8\xff"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # of JPEG, and of JPEG-LS
_HUFFMAN_TABLES, _START_OF_SCAN, _LOSSLESS_FRAME = 0xC4, 0xDA, 0xC3
_APP0, _APP14 = 0xE0, 0xEE
# APP14 with version 100, no flags, and transform 0: the components are red, green and blue (or anything, as they are)
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


class StreamHeader(NamedTuple):
    """What a codestream says about its image.

    Attributes:
        rows: height in pixels.
        columns: width in pixels.
        components: number of samples per pixel.
        precision: bits per sample.
        color: what a decoder that knows the stream alone would do (the rule of libjpeg): "RGB" or "YBR" if the stream
            says so; "YBR by default" if it has the components 1, 2, 3 and no marker; "" if it says nothing.
    """

    rows: int
    columns: int
    components: int
    precision: int
    color: str


def begins_image(fragment: bytes) -> bool:
    """Tell whether a JPEG, JPEG-LS, JPEG 2000 or DICOM RLE image begins here, or goes on from an earlier fragment."""
    return is_rle(fragment) or fragment.startswith((_JPEG, _JPEG_2000, _JP2_BOX))


def is_rle(fragment: bytes) -> bool:
    """Tell whether this begins with the header of DICOM RLE: 1 to 15 segments, of which the first follows it."""
    return len(fragment) >= 64 and 0 < fragment[0] < 16 and fragment[1:8] == b"\0\0\0\x40\0\0\0"


def bare_codestream(stream: bytes) -> bytes:
    """Take a JPEG 2000 codestream out of the file format JP2, which DICOM does not allow; keep all others."""
    return stream[max(stream.find(_JPEG_2000), 0) :] if stream.startswith(_JP2_BOX) else stream


def read_stream_header(stream: bytes) -> StreamHeader | None:
    """Read the header of a codestream.

    Args:
        stream: a JPEG, JPEG-LS or JPEG 2000 codestream.

    Returns:
        The header, None if it is another format (RLE has none) or damaged.
    """
    try:
        if stream.startswith(_JPEG):
            return _read_jpeg(stream)
        return _read_jpeg_2000(stream) if stream.startswith(_JPEG_2000) else None
    except IndexError:  # it ends in its header, which the decoder will say
        return None


def has_whole_tables(stream: bytes) -> bool:
    """Tell whether all that comes before the data of a JPEG is whole: segments one after another, and their tables.

    GDCM ends the process where it is not. Other formats than JPEG are taken for whole.
    """
    if not stream.startswith(_JPEG):
        return True
    lossless = False
    try:
        for marker, start, stop in _segments(stream, {_START_OF_SCAN}):
            content = stream[start:stop]
            lossless = lossless or marker == _LOSSLESS_FRAME
            components = marker in _START_OF_FRAME and len(content) != 6 + 3 * content[5]
            if components or (marker == _HUFFMAN_TABLES and not _has_huffman_tables(content)):
                return False
        return not lossless or 1 <= content[1 + 2 * content[0]] <= 7  # which of the seven predictors
    except IndexError:
        return False


def rle_pixels(stream: bytes) -> int:
    """Count the pixels of a DICOM RLE image (PS3.5 annex G), as its first segment has them.

    Args:
        stream: a frame that is compressed by RLE.

    Returns:
        The number of values; it may include a few that pad the segment.
    """
    count, start, end = (int.from_bytes(stream[i : i + 4], "little") for i in (0, 4, 8))
    segment = stream[start : end if count > 1 else len(stream)]
    position, pixels = 0, 0
    while position < len(segment):
        control = segment[position]
        if control < 128:  # as many values follow, and one more
            pixels += min(control + 1, len(segment) - position - 1)
            position += 2 + control
        else:  # the next value is repeated; 128 does nothing
            pixels += 257 - control if control > 128 else 0
            position += 2 if control > 128 else 1
    return pixels


def with_rgb_marker(stream: bytes) -> bytes:
    """Make any JPEG decoder return the three components as they are stored, whatever colour space they are in.

    Args:
        stream: a JPEG codestream.

    Returns:
        The same image with one colour marker, that of Adobe, which says that there is nothing to convert.
    """
    kept, end = [], 2
    for marker, start, stop in _segments(stream):
        if not (_is_jfif(marker, stream[start:stop]) or _is_adobe(marker, stream[start:stop])):
            kept.append(stream[end:stop])
        end = stop
    return b"".join([stream[:2], _ADOBE_RGB, *kept, stream[end:]])


def _segments(stream: bytes, last: Collection[int] = _START_OF_FRAME) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of the content of each segment, up to the last, by default that of the frame."""
    offset, marker = 2, 0
    while marker not in last:
        while stream[offset + 1] == 0xFF:  # padding
            offset += 1
        if stream[offset] != 0xFF:
            raise IndexError("no marker where a segment should begin.")
        marker = stream[offset + 1]
        stop = offset + 2 + _number(stream, offset + 2, 2)
        yield marker, offset + 4, stop
        offset = stop


def _has_huffman_tables(content: bytes) -> bool:
    """Tell whether the content of a segment is one or several tables: a number, 16 counts, and as many values."""
    offset = 0
    while offset < len(content):
        offset += 17 + sum(content[offset + 1 : offset + 17])
    return offset == len(content)


def _read_jpeg(stream: bytes) -> StreamHeader:
    jfif, adobe = False, None
    for marker, start, stop in _segments(stream):
        content = stream[start:stop]
        jfif = jfif or _is_jfif(marker, content)
        adobe = content[11] if _is_adobe(marker, content) else adobe
    count = content[5]
    identifiers = bytes(content[6 + 3 * i] for i in range(count))
    color = _jpeg_color(jfif, adobe, identifiers) if count == 3 else ""
    return StreamHeader(_number(content, 1, 2), _number(content, 3, 2), count, content[0], color)


def _jpeg_color(jfif: bool, adobe: int | None, identifiers: bytes) -> str:
    """Return the colour space in the order in which libjpeg looks for it (default_decompress_parms in jdapimin.c)."""
    if jfif:
        return "YBR"
    if adobe is not None:
        return "RGB" if adobe == 0 else "YBR"
    if identifiers in (b"RGB", b"rgb"):
        return "RGB"
    return "YBR by default" if identifiers == b"\1\2\3" else ""


def _read_jpeg_2000(stream: bytes) -> StreamHeader:
    """Read the SIZ segment, and COD, whose transform turns the components into red, green and blue again."""
    columns, rows, left, top = (_number(stream, 8 + 4 * i, 4) for i in range(4))
    count = _number(stream, 40, 2)
    offset, color = 4 + _number(stream, 4, 2), ""
    while stream[offset] == 0xFF and stream[offset + 1] not in (0x90, 0x93):  # begin of a tile, begin of data
        if stream[offset + 1] == 0x52:
            color = "RGB" if stream[offset + 8] == 1 else ""
        offset += 2 + _number(stream, offset + 2, 2)
    return StreamHeader(rows - top, columns - left, count, (stream[42] & 0x7F) + 1, color)


def _is_jfif(marker: int, content: bytes) -> bool:
    return marker == _APP0 and content.startswith(b"JFIF")


def _is_adobe(marker: int, content: bytes) -> bool:
    return marker == _APP14 and content.startswith(b"Adobe") and len(content) >= 12


def _number(stream: bytes, offset: int, size: int) -> int:
    if offset + size > len(stream):
        raise IndexError("the stream ends in its header.")
    return int.from_bytes(stream[offset : offset + size], "big")
