# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a classifier could tell about a file without looking at what it shows: size, bits, sharpness and the like.

Each of these may go with the hospital, the scanner or the way of an image through a conversion, and so with the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import laplace

from monai_debias.data.formats.picture import PICTURE_SUFFIXES
from monai_debias.data.reader import looks_like_dicom

__all__ = ["file_properties"]

_BORDER = 0.05  # of the length of each side
_DARK, _BRIGHT = 0.02, 0.98  # shares of the range
_OVERLAY = 0x60003000
_TAGS: list[Any] = [
    _OVERLAY,
    "BitsStored",
    "PhotometricInterpretation",
    "Manufacturer",
    "ManufacturerModelName",
    "WindowWidth",
    "PixelPaddingValue",
    "RescaleSlope",
    "LossyImageCompression",
]
_KNOWN = ("affine", "display_range", "filename_or_obj", "original_channel_dim", "reader", "space", "spatial_shape")


def file_properties(path: str, image: np.ndarray, meta: Mapping[str, Any]) -> dict[str, float | str]:
    """Measure a file and the image in it; where a header has text, only that of its maker.

    - of the file: its type, its size, and of DICOM, PNG and JPEG what is told of the bits, the polarity, the maker and
      the compression;
    - of the array: length of each side, ratio of the first two, spacing, and what else the reader tells in one word or
      number, such as the view or the sampling rate;
    - of the values, in shares of the range from black to white where the reader knows it, otherwise from the smallest
      to the largest value: brightness (mean), contrast (standard deviation), sharpness (variance of the Laplacian),
      how much is black or white, blackness and brightness of the border (a twentieth of each side), and polarity (by
      how much the border is brighter than the rest).

    Args:
        path: the file.
        image: what a reader returned, shape (C, spatial...), with any NaN left out.
        meta: the reader's meta dict.

    Returns:
        The properties by name.

    Example:
        >>> image = np.zeros((1, 40, 40))
        >>> image[:, 10:30, 10:30] = 1
        >>> found = file_properties("a.npy", image, {})
        >>> found["type"], found["rows"], found["brightness"], found["border blackness"], found["border against rest"]
        ('.npy', 40.0, 0.25, 1.0, -0.3086)
    """
    return {**_of_file(Path(path)), **_of_shape(image, meta), **_of_values(image, meta)}


def _of_file(path: Path) -> dict[str, float | str]:
    found: dict[str, float | str] = {"type": path.suffix.lower()[:8]}
    try:
        found["kilobytes"] = round(path.stat().st_size / 1024, 1)
        if path.suffix.lower() in PICTURE_SUFFIXES:
            found |= _of_picture(path)
        elif looks_like_dicom(path):
            found |= _of_header(path)
    except Exception:  # noqa: BLE001 - the image itself could be read; what its file does not tell is unknown
        pass
    return found


def _of_picture(path: Path) -> dict[str, float | str]:
    from PIL import Image

    with Image.open(path) as picture:
        tables = getattr(picture, "quantization", None)
        steps = {"JPEG quantisation": float(np.mean(tables[0]))} if tables else {}
        return {"pixel type": picture.mode, **steps}


def _of_header(path: Path) -> dict[str, float | str]:
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
    syntax = getattr(header.file_meta, "TransferSyntaxUID", None)
    return {
        "bits": float(header.get("BitsStored") or 0),
        "stored polarity": str(header.get("PhotometricInterpretation") or ""),
        "maker": str(header.get("Manufacturer") or "").strip().upper(),
        "model": str(header.get("ManufacturerModelName") or "").strip(),
        "compression": "" if syntax is None else syntax.name,
        "lossy": str(header.get("LossyImageCompression") or ""),
        "window": "yes" if header.get("WindowWidth") not in (None, "") else "no",
        "padding": "yes" if header.get("PixelPaddingValue") is not None else "no",
        "overlay": "yes" if _OVERLAY in header else "no",
    }


def _of_shape(image: np.ndarray, meta: Mapping[str, Any]) -> dict[str, float | str]:
    sides = image.shape[1:]
    names = ("length",) if len(sides) == 1 else ("rows", "columns", "depth", *(f"side {n}" for n in range(3, 9)))
    found: dict[str, float | str] = {"channels": float(len(image)), **dict(zip(names, map(float, sides), strict=False))}
    if len(sides) > 1:
        found["rows / columns"] = round(sides[0] / sides[1], 3)
    spacing = meta.get("spacing")
    if spacing is not None:
        found["spacing"] = round(float(np.atleast_1d(spacing)[0]), 4)
    told = {key.replace("_", " "): value for key, value in meta.items() if key not in _KNOWN}
    return found | {key: value for key, value in told.items() if isinstance(value, float | int | str) and value != ""}


def _of_values(image: np.ndarray, meta: Mapping[str, Any]) -> dict[str, float | str]:
    values = image.astype(np.float32)
    missing = ~np.isfinite(values)
    if missing.all():
        return {"missing": 1.0}
    told = meta.get("display_range")
    black, white = map(float, (values[~missing].min(), values[~missing].max()) if told is None else told)
    values = (values - black) / (white - black if white > black else 1)
    values[missing] = 0
    border = np.ones(values.shape, bool)
    inside = (slice(None), *(_inner(side) for side in values.shape[1:]))
    border[inside] = False
    edge = float(values[border].mean())
    rest = float(values[~border].mean()) if not border.all() else edge
    curved = np.stack([laplace(channel) for channel in values])
    return {
        "brightness": round(float(values.mean()), 4),
        "contrast": round(float(values.std()), 4),
        "sharpness": float(f"{curved.var():.4g}"),
        "black": round(float((values <= _DARK).mean()), 4),
        "white": round(float((values >= _BRIGHT).mean()), 4),
        "border blackness": round(float((values[border] <= _DARK).mean()), 4),
        "border brightness": round(edge, 4),
        "border against rest": round(edge - rest, 4),
        "missing": round(float(missing.mean()), 4),
    }


def _inner(side: int) -> slice:
    width = max(1, round(_BORDER * side))
    return slice(width, side - width)
