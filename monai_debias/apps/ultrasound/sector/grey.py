# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An image as the grey frames in which a sector is looked for."""

from __future__ import annotations

import numpy as np
from monai.config import NdarrayOrTensor
from monai.utils import convert_data_type
from numpy.typing import NDArray

__all__ = ["grey_frames"]

_FRAMES = 17  # evenly spaced; more do not change the result
_SMALLEST = 24  # rows and columns


def grey_frames(img: NdarrayOrTensor) -> NDArray[np.float32]:
    """(rows, columns, frames) of evenly spaced frames, the mean of the channels, in grey levels from 0 to 255."""
    array = convert_data_type(img, np.ndarray)[0]
    shape = tuple(array.shape)
    if len(shape) not in (3, 4):
        raise ValueError(
            f"image has shape {shape}, expected a still (C, rows, columns) or a clip (C, rows, columns, frames)."
        )
    if min(shape[1:3]) < _SMALLEST or 0 in shape:
        raise ValueError(
            f"image has shape {shape}, expected (C, rows, columns) or (C, rows, columns, frames) with at least "
            f"{_SMALLEST} rows and columns."
        )
    if array.dtype.kind not in "buif":
        raise ValueError(f"image has values of type {array.dtype}, expected real numbers.")
    if array.dtype.kind == "f" and not np.isfinite([array.min(), array.max()]).all():  # both are NaN where one value is
        raise ValueError("image has values that are NaN or infinite; repair this file or leave it out.")
    if len(shape) == 3:
        array = array[..., None]
    chosen = np.unique(np.linspace(0, array.shape[-1] - 1, min(_FRAMES, array.shape[-1])).round().astype(int))
    frames = array[..., chosen]
    frames = frames.mean(axis=0, dtype=np.float32) if len(frames) > 1 else frames[0].astype(np.float32)
    low, high = float(frames.min()), float(frames.max())
    if high <= low:
        raise ValueError(
            f"image is {low:g} everywhere: the sector is looked for as what moves or has texture, and there is "
            "neither; check the file and the transforms before this one."
        )
    frames -= np.float32(low)
    frames *= np.float32(255 / (high - low))
    return frames
