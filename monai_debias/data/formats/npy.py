# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stills and clips in NumPy's ``.npy`` files."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from monai_debias.data.formats.clip import ArrayClip
from monai_debias.data.reading import FileReadError

__all__ = ["load_array", "read_npy"]

_STILL, _COLOR_STILL = "(rows, columns)", "(rows, columns, 3)"
_CLIP, _CLEAR_CLIP = "(frames, rows, columns)", "(frames, rows, columns, 1)"
# NumPy parses the header as Python, in which two threads disturb each other (python/cpython#106905)
_ONE_AT_A_TIME = threading.Lock()


def read_npy(path: Path) -> ArrayClip:
    """Open a still or a clip whose values are kept as they are; True and False become 1 and 0.

    Shapes are (rows, columns) and (rows, columns, 3) for a still, (frames, rows, columns), (frames, rows, columns, 1)
    and (frames, rows, columns, 3) for a clip. Ambiguous shapes of three axes are refused: as many frames as rows, or
    fewer columns than frames and rows, look like (rows, columns, frames), and three frames look like colours.

    Args:
        path: the file; a pickle in it is never loaded.

    Returns:
        The clip; its values stay on the disk until a frame is asked for.

    Raises:
        FileReadError: if it is cut short, a pickle, or of another shape.
    """
    array = load_array(path)
    return ArrayClip(_frames(array.view(np.uint8) if array.dtype == np.bool_ else array))


def load_array(path: Path) -> np.ndarray:
    """Open an array of numbers; its values stay on the disk until they are asked for.

    Args:
        path: the file; a pickle in it is never loaded.

    Returns:
        The array, of any shape.

    Raises:
        FileReadError: if it is cut short, a pickle, an archive of several arrays, or not of numbers.
    """
    try:
        with _ONE_AT_A_TIME:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # numpy's own message advises allowing pickles
        reason = "is cut short, or holds Python objects (a pickle), which are not loaded because they can run code"
        raise FileReadError(f"is not a plain .npy array; it {reason}.") from error
    if not isinstance(array, np.ndarray):
        raise FileReadError("is an archive of several arrays (.npz), expected one array; save it with numpy.save.")
    if array.dtype.kind not in "buif":
        raise FileReadError(f"has values of type {array.dtype}, expected numbers.")
    return array


def _frames(array: np.ndarray) -> np.ndarray:
    """Return an array (frames, rows, columns) or (frames, rows, columns, 3)."""
    shape = array.shape
    if array.ndim == 2 or (array.ndim == 3 and shape[2] == 3):
        return array[None]
    if array.ndim == 4 and shape[3] in (1, 3):
        return array[..., 0] if shape[3] == 1 else array
    if array.ndim != 3:
        raise FileReadError(f"has shape {shape}, expected {_STILL}, {_COLOR_STILL}, {_CLIP} or that with colours.")
    if shape[0] == 3:
        raise _ambiguous(shape, "(3, rows, columns), colours before the rows", f"a colour still as {_COLOR_STILL}")
    if shape[0] == shape[1] or shape[2] < min(shape[:2]):
        raise _ambiguous(shape, "(rows, columns, frames)", "frames as the first axis, with numpy.moveaxis(array, 2, 0)")
    return array


def _ambiguous(shape: tuple[int, ...], other: str, remedy: str) -> FileReadError:
    return FileReadError(
        f"has shape {shape}, which may be {_CLIP} or {other}. Save {remedy}, and a clip whose first axis is the frames "
        f"as {_CLEAR_CLIP}, i.e. array[..., None]."
    )
