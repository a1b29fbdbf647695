# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a video file is what its name says, and complete, which FFmpeg does not report.

FFmpeg goes by the content, so that a playlist named ``clip.avi`` would make it fetch what the playlist names; and it
fills the last frame of a file that was cut short with grey.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from monai_debias.data.reading import FileReadError

__all__ = ["check_container"]

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # what an MP4 or QuickTime file begins with


def check_container(path: Path) -> None:
    """Check that a file is AVI, MP4 or QuickTime, and that no part is missing at its end.

    Args:
        path: the file.

    Raises:
        FileReadError: if it is neither, or is shorter than its parts say.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] == b"RIFF" and start[8:] == b"AVI ":
            whole = 8 + int(struct.unpack("<I", start[4:8])[0])
        elif start[4:8] in _BOXES:
            whole = _end_of_boxes(file, size)
        else:
            raise FileReadError(f"is not an AVI, MP4 or QuickTime video in spite of its suffix {path.suffix}.")
    if size < whole:
        raise FileReadError(f"the video is cut short: {size} of {whole} bytes are there.")


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Return the position at which the last box of the file ends."""
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # then the true length follows the name
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # the last box goes to the end of the file
            return size
        position += max(length, 8)
    return position
