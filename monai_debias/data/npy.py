# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stills in NumPy's ``.npy`` files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_debias.data.clip import ArrayClip
from monai_debias.data.reading import FileReadError

__all__ = ["read_npy"]


def read_npy(path: Path) -> ArrayClip:
    """Read a still whose values are kept as they are; True and False become 1 and 0.

    Args:
        path: the file; a pickle in it is never loaded.

    Returns:
        A clip of one frame.

    Raises:
        FileReadError: if it is cut short, a pickle, no still, or has other values than finite numbers.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:  # numpy's own message advises to allow pickles
        reason = "is cut short, or holds Python objects (a pickle), which are not loaded because they can run code"
        raise FileReadError(f"is not a plain .npy array; it {reason}") from error
    if array.dtype.kind not in "buif":
        raise FileReadError(f"has values of type {array.dtype}, expected numbers")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)) or array.size == 0:
        raise FileReadError(f"has shape {array.shape}, expected a still of (rows, columns) or (rows, columns, 3)")
    if not np.isfinite(array).all():
        raise FileReadError("has values that are NaN or infinite")
    return ArrayClip((array.astype(np.uint8) if array.dtype == np.bool_ else array)[None])
