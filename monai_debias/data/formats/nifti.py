# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stills and clips in NIfTI files."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from monai_debias.data.formats.clip import check_finite, display_range
from monai_debias.data.reading import FileReadError, warn

__all__ = ["NIFTI_SUFFIXES", "NiftiClip"]

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_MILLIMETRES = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_MILLISECONDS = {"sec": 1000.0, "msec": 1.0, "usec": 0.001}


class NiftiClip:
    """The frames of a NIfTI file.

    The axes of the file are columns, rows, and frames, in the order in which the voxels are stored: (x, y) is a still,
    (x, y, t) and (x, y, 1, t) are clips. Column 0 is left and row 0 is on top, whatever signs the affine has, so
    that an image and its mask agree. Values are kept, scaled if the header has a slope.

    Args:
        path: the file.

    Raises:
        FileReadError: if the file is not NIfTI, or is a volume or a series of volumes.
    """

    def __init__(self, path: Path) -> None:
        try:
            image: Any = nib.load(path)
        except nib.filebasedimages.ImageFileError as error:
            raise FileReadError(f"is not a NIfTI file in spite of its suffix {path.suffix}.") from error
        self._path = path
        self._image = image
        self._shape = tuple(self._image.shape)
        longer = [axis for axis, length in enumerate(self._shape) if axis > 1 and length > 1]
        if len(self._shape) < 2 or longer not in ([], [2], [3]) or min(self._shape) < 1:
            raise FileReadError(
                f"has shape {self._shape}, expected (columns, rows), (columns, rows, frames) or "
                "(columns, rows, 1, frames)."
            )
        self._time_axis = longer[0] if longer else 2
        dtype = self._image.get_data_dtype()
        if dtype.kind not in "uif":
            raise FileReadError(f"has values of type {dtype}, expected numbers.")
        self.n_frames = self._shape[longer[0]] if longer else 1
        self.frame_bytes = self._shape[0] * self._shape[1] * dtype.itemsize

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Read frames.

        Args:
            indices: which frames; None for all.

        Yields:
            Frames of shape (rows, columns).
        """
        _check_gzip(self._path)
        # of a file that is not compressed, a single frame is read without the others
        voxels = np.asanyarray(self._image.dataobj) if indices is None else self._image.dataobj
        for index in range(self.n_frames) if indices is None else indices:
            axes = range(2, len(self._shape))
            place = (slice(None), slice(None), *(index if axis == self._time_axis else 0 for axis in axes))
            yield check_finite(np.asanyarray(voxels[place]).T)

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return what the header says of these.

        ``spacing`` (row, column) in mm, ``frame_time`` in ms if the fourth axis is time, ``display_range`` by cal_min
        and cal_max.
        """
        zooms = [float(zoom) for zoom in self._image.header.get_zooms()]
        black, white = (float(self._image.header[name]) for name in ("cal_min", "cal_max"))
        meta = display_range(black, white) if np.isfinite(white - black) and black < white else {}
        try:
            unit, time_unit = self._image.header.get_xyzt_units()
        except KeyError:  # a code that NIfTI does not define
            warn(f"the unit {int(self._image.header['xyzt_units'])} is none of NIfTI's; spacing and time are unknown.")
            return meta
        spacing = np.asarray(zooms[1::-1]) * _MILLIMETRES[unit]
        if np.isfinite(spacing).all() and spacing.min() > 0:
            meta["spacing"] = torch.from_numpy(spacing)
        else:
            warn(f"the pixel size is {zooms[:2]}; the spacing is unknown.")
        if len(zooms) == 4 and time_unit in _MILLISECONDS and np.isfinite(zooms[3]) and zooms[3] > 0:
            meta["frame_time"] = zooms[3] * _MILLISECONDS[time_unit]
        return meta


def _check_gzip(path: Path) -> None:
    """Read a compressed file to the checksum at its end; nibabel stops at the last voxel that it needs."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as file:
            while file.read(2**20):
                pass
