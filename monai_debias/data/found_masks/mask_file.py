# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A mask as a PNG that knows how it was found, and by a digest whether it was edited since."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_debias.data.found_masks.finder import FoundMask
from monai_debias.data.mask_files import binary_values
from monai_debias.data.reader import ImageFileReader
from monai_debias.files import replace_file

__all__ = ["read_found", "read_mask", "write_found"]

Image, _ = optional_import("PIL.Image")
PngInfo, _ = optional_import("PIL.PngImagePlugin", name="PngInfo")
_RECORD = "monai-debias-mask"  # name of the PNG text that holds how the mask was found
_ABOUT = ("method", "confidence", "doubts", "usable")


def write_found(path: Path, found: FoundMask, signature: str) -> None:
    """Write a mask as a grey PNG of 0 and 255, with all that is known of it.

    Args:
        path: the file; its folder is made.
        found: the mask.
        signature: of its :class:`~monai_debias.data.found_masks.finder.MaskFinder`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {name: getattr(found, name) for name in _ABOUT}
    text = PngInfo()
    text.add_itxt(_RECORD, json.dumps({"digest": _digest(found.mask), "signature": signature, **about}))
    buffer = io.BytesIO()
    Image.fromarray(found.mask.astype(np.uint8) * np.uint8(255)).save(buffer, "PNG", pnginfo=text)
    with replace_file(path, "wb") as file:
        file.write(buffer.getvalue())


def read_found(path: Path, signature: str) -> FoundMask | None:
    """Read a mask with all that is known of it.

    Args:
        path: the file.
        signature: of the finder that is to look for it if it is not there.

    Returns:
        The mask; None if there is none, or it was found under another signature. What :func:`write_found` did not
        write, or was edited since, is a mask ``"by hand"``, whose confidence is 1.

    Raises:
        ValueError: if the file is no mask; it names the file.
    """
    if not path.exists():
        return None
    mask = read_mask(path)
    with Image.open(path) as picture:
        record = json.loads(getattr(picture, "text", {}).get(_RECORD, "{}"))
    if record.get("digest") != _digest(mask):
        return FoundMask(mask, "by hand", 1.0, "", True)
    return FoundMask(mask, *(record[name] for name in _ABOUT)) if record["signature"] == signature else None


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask from a picture or a ``.npy`` file.

    Args:
        path: the file.

    Returns:
        (rows, columns).

    Raises:
        ValueError: if it has more dimensions, or other values than 0 and 1, or 0 and 255; it names the file.
    """
    reader = ImageFileReader()
    array, _ = reader.get_data(reader.read(path))
    if array.ndim != 2:
        raise ValueError(f"{path}: has shape {array.shape}, expected a mask of (rows, columns).")
    try:
        return binary_values(array)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _digest(mask: NDArray[np.bool_]) -> str:
    return hashlib.sha256(str(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()
