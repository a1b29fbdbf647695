# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What counts as a mask in a file: two values, the size of its image, something inside.

Masks are stored as 0 and 1, as booleans, or as 0 and 255 in a picture. Anything else is not a mask but a picture of
one: grey edges come from anti-aliasing, from JPEG, or from resizing with interpolation, and no program should guess a
threshold.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys
from numpy.typing import NDArray

__all__ = ["binary_values", "channel_first", "fits_image", "looks_inverted", "read_channel_first"]


def read_channel_first(path: str | os.PathLike, reader: ImageReader) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a file, with the channels first.

    Args:
        path: the file; ``~`` is expanded.
        reader: an image reader of MONAI or of this package.

    Returns:
        The array (C, spatial...), and the reader's meta dict.
    """
    array, meta = reader.get_data(reader.read(Path(path).expanduser()))
    return channel_first(array, meta), meta


def channel_first(array: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Bring what a reader returned into the shape (C, spatial...).

    Args:
        array: the reader's array.
        meta: its meta dict, which tells where the channels are.
    """
    channel = meta.get(MetaKeys.ORIGINAL_CHANNEL_DIM, "no_channel")
    if channel == "no_channel" or channel != channel:  # newer versions of MONAI write NaN
        return array[None]
    return np.moveaxis(array, int(channel), 0)


def binary_values(values: np.ndarray) -> NDArray[np.bool_]:
    """Turn the values of a mask into booleans: 0 and 1, 0 and 255, or booleans already.

    Args:
        values: array of any shape.

    Returns:
        Booleans of the same shape, True = region of interest.

    Raises:
        ValueError: when there are other values, or both 1 and 255; it says which.

    Example:
        >>> binary_values(np.array([0, 255])).tolist(), binary_values(np.array([0.0, 1.0])).tolist()
        ([False, True], [False, True])
    """
    inside = values != 0
    for high in (1, 255):
        if np.array_equal(values[inside], np.full(int(inside.sum()), high)):
            return inside
    found = [f"{value:g}" for value in np.unique(values).tolist()]
    told = ", ".join(found if len(found) < 7 else [*found[:3], "…", *found[-2:]])
    raise ValueError(
        f"has {len(found)} values ({told}), expected 0 and 1 or 0 and 255: grey comes from JPEG, from smooth edges, "
        "from resizing, or from a palette; save the mask again as PNG or NPY, and resize it by nearest neighbour only."
    )


def fits_image(mask_size: Sequence[int], image_size: Sequence[int]) -> bool:
    """Tell whether a mask has the spatial shape of its image, or that of each frame of a clip.

    Args:
        mask_size: the mask's spatial shape.
        image_size: the image's spatial shape; the frames of a clip come last.

    Example:
        >>> fits_image((240, 320), (240, 320, 30)), fits_image((320, 240), (240, 320))
        (True, False)
    """
    return tuple(mask_size) in (tuple(image_size), tuple(image_size[:-1]))


def looks_inverted(mask: NDArray[np.bool_]) -> bool:
    """Tell whether a mask marks the background: most of the image's border, and less of the rest.

    Args:
        mask: booleans (rows, columns, ...), True = region of interest.

    Example:
        >>> heart = np.zeros((8, 8), bool)
        >>> heart[2:6, 2:6] = True
        >>> looks_inverted(heart), looks_inverted(~heart), looks_inverted(np.ones((8, 8), bool))
        (False, True, False)
    """
    if min(mask.shape[:2]) < 3:
        return False
    core = mask[1:-1, 1:-1]
    rim = (mask.sum() - core.sum()) / (mask.size - core.size)
    return bool(rim > max(0.5, core.mean()))
