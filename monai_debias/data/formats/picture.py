# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stills in picture files: PNG, JPEG and BMP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.dicom.pixels import to_display_range
from monai_debias.data.formats.clip import display_range
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PICTURE_SUFFIXES", "PictureClip"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


class PictureClip:
    """A still in display values [0, 255], rotated according to its EXIF orientation, without its transparency.

    Args:
        path: the file.

    Raises:
        FileReadError: if it is not a picture, or larger than Pillow opens.
        OptionalImportError: if Pillow is not installed.
    """

    n_frames = 1

    def __init__(self, path: Path) -> None:
        self._path = path
        with _open(path) as picture:
            self.frame_bytes = picture.width * picture.height * len(picture.getbands())
            count = getattr(picture, "n_frames", 1)
        if count > 1:
            warn(f"holds {count} pictures, of which the first is read; save the frames of a clip as NPY or as a video.")

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield the frame: uint8, or float32 if the file has more than 8 bits."""
        from PIL import ImageOps

        with _open(self._path) as picture:
            turned = ImageOps.exif_transpose(picture)
            if turned.mode.startswith("I"):  # 16 bit grey
                yield to_display_range(np.clip(np.asarray(turned), 0, 65535), bits=16)
            else:
                yield np.asarray(turned.convert("L" if turned.mode in ("1", "L", "LA") else "RGB"))

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return the ``display_range``."""
        return display_range(0, 255)


@contextmanager
def _open(path: Path) -> Iterator[Image]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise OptionalImportError("needs the package Pillow: pip install Pillow.") from error
    try:
        with Image.open(path) as picture:
            yield picture
    except UnidentifiedImageError as error:
        raise FileReadError(f"is not a picture in spite of its suffix {path.suffix}.") from error
    except Image.DecompressionBombError as error:
        raise FileReadError(f"the picture is too large: {error}") from error
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on broken PNG chunks
        reason = "the file is cut short" if "truncated" in str(error).lower() else "it is damaged or not supported"
        raise FileReadError(f"the picture cannot be decoded, {reason} ({error}).") from error
