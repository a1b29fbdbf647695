# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of the fragments of compressed pixel data belong to which frame (PS3.5 A.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from monai_debias.data.dicom.image_stream import begins_image
from monai_debias.data.reading import FileReadError

__all__ = ["split_frames"]

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def split_frames(data: bytes, declared: int) -> list[bytes]:
    """Join the fragments of encapsulated pixel data into frames.

    A frame may be cut into several fragments, and the table that tells where each begins is empty or wrong in many
    files. The beginning of a compressed image can be recognised; the table is used if the images found that way differ
    in number from what the header declares, and the table's entries do not.

    Args:
        data: the value of Pixel Data: an item with the table, then the fragments, all little endian.
        declared: the number of frames in the header.

    Returns:
        The compressed frames, of which there may be more or fewer than declared.

    Raises:
        FileReadError: if this is not a sequence of items, or ends inside one.
    """
    table, *fragments = list(_items(data)) or [b""]
    offsets = list(struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4]))
    starts = [index for index, fragment in enumerate(fragments) if begins_image(fragment)]
    if len(starts) != declared and len(offsets) == declared:
        starts = _starts_by_table(fragments, offsets)
    elif not starts:
        starts = list(range(len(fragments))) if len(fragments) == declared else [0] if fragments else []
    if starts[:1] != [0][: len(fragments)] or starts != sorted(set(starts)):
        raise FileReadError("the compressed pixel data does not begin with an image: it is damaged.")
    return [b"".join(fragments[i:j]) for i, j in zip(starts, [*starts[1:], len(fragments)], strict=True)]


def _items(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + 8 <= len(data) and data[position : position + 4] != _END:
        tag, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if tag != _ITEM:
            raise FileReadError(f"the compressed pixel data has no item at byte {position}: it is damaged.")
        position += 8 + length
        if position > len(data):
            raise FileReadError(f"the compressed pixel data lacks {position - len(data)} bytes: the file is cut short.")
        yield data[position - length : position]


def _starts_by_table(fragments: list[bytes], offsets: list[int]) -> list[int]:
    """Return the fragments at the offsets, which count from the first fragment and include the 8 bytes of each item."""
    places: dict[int, int] = {}
    position = 0
    for index, fragment in enumerate(fragments):
        places[position] = index
        position += 8 + len(fragment)
    unknown = [offset for offset in offsets if offset not in places]
    if unknown:
        raise FileReadError(
            f"the table of compressed frames points to byte {unknown[0]}, where none begins: it is damaged."
        )
    return [places[offset] for offset in offsets]
