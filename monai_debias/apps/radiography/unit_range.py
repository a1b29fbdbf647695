# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From the values of any image file to [0, 1], black to white."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from monai_debias.data.reading import FileReadError, warn

__all__ = ["to_unit_range"]

_NARROW = 1 / 8
_ROUNDING = 1e-5  # how far fractions may be outside of [0, 1], as by the slope of a NIfTI file
_WHITE_OF_TYPE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}


def to_unit_range(values: np.ndarray, black_and_white: Sequence[float] | torch.Tensor | None) -> np.ndarray:
    """Map black to 0 and white to 1.

    Args:
        values: an image, of any shape; the 0 and 1 of a mask stay as they are.
        black_and_white: the values of black and white; None if the file does not say them, so that they follow from the
            type of the numbers.

    Returns:
        float32 in [0, 1], of the same shape.

    Raises:
        FileReadError: if it is unknown which values are black and white.

    Example:
        >>> to_unit_range(np.array([0, 51, 255], np.uint8), None).tolist()
        [0.0, 0.20000000298023224, 1.0]
    """
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1 and (values == np.rint(values)).all():
        return values.astype(np.float32)
    black, white = map(float, _by_type(values.dtype, low, high) if black_and_white is None else black_and_white)
    darkest, brightest = ((end - black) / (white - black) for end in (low, high))
    narrow = f"dark: the brightest pixel is {high:g}" if brightest < _NARROW else ""
    if darkest > 1 - _NARROW:  # the same film, inverted
        narrow = f"bright: the darkest pixel is {low:g}"
    if narrow:
        warn(
            f"the image is very {narrow}, where black is {black:g} and white {white:g}. Were values of fewer bits "
            "saved as if they were of more?"
        )
    return ((values.astype(np.float64) - black) / (white - black)).clip(0, 1).astype(np.float32)


def _by_type(dtype: np.dtype, low: float, high: float) -> tuple[float, float]:
    native = dtype.newbyteorder("=")  # a file may have the other order of bytes
    if native in _WHITE_OF_TYPE:
        return 0.0, _WHITE_OF_TYPE[native]
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return 0.0, 1.0
    raise FileReadError(
        f"has values from {low:g} to {high:g} ({dtype}), and does not say which of them are black and white. Expected "
        "0 to 255 as uint8, 0 to 65535 as uint16, fractions from 0 to 1, or a NIfTI file with cal_min and cal_max; "
        "what is read is in [0, 1], 0 = black = air."
    )
