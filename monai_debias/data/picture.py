# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stills in picture files: PNG, JPEG and BMP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.clip import ArrayClip
from monai_debias.data.dicom_pixels import to_display_range
from monai_debias.data.reading import FileReadError

__all__ = ["PICTURE_SUFFIXES", "read_picture"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def read_picture(path: Path) -> ArrayClip:
    """Read a still in display values [0, 255], turned as its EXIF orientation says, without its transparency.

    Args:
        path: the file.

    Returns:
        A clip of one frame; uint8, or float32 if the file has more than 8 bits.

    Raises:
        FileReadError: if it is not a picture, or is cut short.
        OptionalImportError: if Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise OptionalImportError('needs Pillow; pip install "monai-debias[demo]"') from error
    try:
        with Image.open(path) as picture:
            turned = ImageOps.exif_transpose(picture)
            if turned.mode.startswith("I"):  # 16 bit grey
                return ArrayClip(to_display_range(np.clip(np.asarray(turned), 0, 65535), bits=16)[None])
            return ArrayClip(np.asarray(turned.convert("L" if turned.mode in ("1", "L", "LA") else "RGB"))[None])
    except UnidentifiedImageError as error:
        raise FileReadError(f"is not a picture in spite of its suffix {path.suffix}") from error
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on broken PNG chunks
        raise FileReadError(f"the picture cannot be decoded, is the file cut short? ({error})") from error
