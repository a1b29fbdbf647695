# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A mask as a PNG with a digest of what was written into it, by which a mask that was edited by hand is recognised."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.mask_files import binary_values
from monai_debias.files import replace_file

__all__ = ["is_edited", "read_mask", "write_mask"]

Image, _ = optional_import("PIL.Image")
PngInfo, _ = optional_import("PIL.PngImagePlugin", name="PngInfo")
_MARK = "monai-debias-sector"  # name of the PNG text that holds the digest of the mask as it was written


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write a mask as a grey PNG of 0 and 255.

    Args:
        path: the file; its folder is made.
        mask: (rows, columns).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = PngInfo()
    mark.add_text(_MARK, _digest(mask))
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(buffer, "PNG", pnginfo=mark)
    with replace_file(path, "wb") as file:
        file.write(buffer.getvalue())


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask from a picture or a ``.npy`` file.

    Args:
        path: the file.

    Returns:
        (rows, columns).

    Raises:
        ValueError: if it has more dimensions, or other values than 0 and 1, or 0 and 255; it names the file.
    """
    reader = UltrasoundReader()
    array, _ = reader.get_data(reader.read(path))
    if array.ndim != 2:
        raise ValueError(f"{path}: has shape {array.shape}, expected a mask of (rows, columns).")
    try:
        return binary_values(array)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def is_edited(path: Path) -> bool:
    """Tell whether there is a mask that differs from what :func:`write_mask` wrote.

    Args:
        path: the file.
    """
    if not path.exists():
        return False
    with Image.open(path) as picture:
        mark = getattr(picture, "text", {}).get(_MARK)
    return bool(mark != _digest(read_mask(path)))


def _digest(mask: NDArray[np.bool_]) -> str:
    return hashlib.sha256(str(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()
