# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The DICOM Sequence of Ultrasound Regions: what the scanner drew where, and at which scale.

Each region is a dict of ints and floats with the keys ``spatial_format``, ``data_type``, ``flags``, ``x0``, ``y0``,
``x1``, ``y1`` (pixels, inclusive), ``units_x``, ``units_y``, ``delta_x``, ``delta_y`` (physical units per pixel); the
codes are those of DICOM PS3.3 C.8.5.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from monai_debias.data.dicom.values import items, number, optional, whole_number
from monai_debias.data.reading import warn

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["read_regions", "spacing_from_regions"]

# our short name -> DICOM keyword (PS3.3 C.8.5.5, all of type 1 there)
_PLACE = {
    "spatial_format": "RegionSpatialFormat",
    "data_type": "RegionDataType",
    "x0": "RegionLocationMinX0",
    "y0": "RegionLocationMinY0",
    "x1": "RegionLocationMaxX1",
    "y1": "RegionLocationMaxY1",
}
_CODES = {"flags": "RegionFlags", "units_x": "PhysicalUnitsXDirection", "units_y": "PhysicalUnitsYDirection"}
_SCALE = {"delta_x": "PhysicalDeltaX", "delta_y": "PhysicalDeltaY"}
_FORMAT_2D = 1
_UNITS_CM = 3


def read_regions(dataset: Dataset) -> list[dict[str, Any]]:
    """Read the Sequence of Ultrasound Regions (0018,6011) of a data set.

    A region whose place or type is missing or makes no sense is left out with a warning. Its scale is optional: what is
    unknown of it becomes NaN (the deltas) or 0, the code for "none" (the units and flags), with a warning, too.

    Args:
        dataset: a pydicom data set, with or without the sequence.

    Returns:
        The regions in the order of the file; empty if there are none.

    Example:
        >>> import pydicom.examples
        >>> region, = read_regions(pydicom.examples.ybr_color)
        >>> region["x0"], region["units_x"]
        (84, 3)
    """
    found = (_read_region(item) for item in optional(items, dataset, "SequenceOfUltrasoundRegions") or [])
    return [region for region in found if region is not None]


def spacing_from_regions(regions: Sequence[dict[str, Any]], rows: int, columns: int) -> tuple[float, float] | None:
    """Find the pixel spacing of an image from its ultrasound regions.

    It is that of the largest two-dimensional region whose units are centimetres. If any region reaches beyond the image
    then the image was resized or cropped after the scanner wrote the regions; they no longer describe it, and a warning
    says so.

    Args:
        regions: dicts as :func:`read_regions` returns them.
        rows: height of the image in pixels.
        columns: width of the image in pixels.

    Returns:
        (row, column) spacing in mm, or None if the regions do not give it.

    Example:
        >>> region = dict(spatial_format=1, x0=0, y0=0, x1=99, y1=99, units_x=3, units_y=3, delta_x=0.05, delta_y=0.04)
        >>> spacing_from_regions([region], 100, 100)
        (0.4, 0.5)
    """
    for region in regions:
        # x1 = columns instead of columns - 1 occurs in real files and does no harm
        if region["x1"] > columns or region["y1"] > rows:
            warn(
                f"an ultrasound region reaches to column {region['x1']}, row {region['y1']}, outside of the image of "
                f"{rows} rows x {columns} columns: the image was resized or cropped, so the spacing is unknown."
            )
            return None
    scaled = [region for region in regions if _has_scale(region)]
    if not scaled:
        return None
    largest = max(scaled, key=lambda region: (region["x1"] - region["x0"]) * (region["y1"] - region["y0"]))
    return abs(largest["delta_y"]) * 10, abs(largest["delta_x"]) * 10


def _read_region(item: Dataset) -> dict[str, Any] | None:
    place = _known(item, _PLACE, whole_number)
    missing = [keyword for name, keyword in _PLACE.items() if name not in place]
    if missing:
        warn(f"an ultrasound region without {', '.join(missing)} is left out.")
        return None
    if place["x1"] < place["x0"] or place["y1"] < place["y0"]:
        corners = ", ".join(f"{name} {place[name]}" for name in ("x0", "y0", "x1", "y1"))
        warn(f"an ultrasound region that ends before it begins ({corners}) is left out.")
        return None
    scale = _known(item, _SCALE, number)
    if len(scale) < len(_SCALE):
        unknown = [keyword for name, keyword in _SCALE.items() if name not in scale]
        warn(f"an ultrasound region without {', '.join(unknown)} has no scale.")
    codes = _known(item, _CODES, whole_number)
    return {**place, **dict.fromkeys(_CODES, 0), **codes, **dict.fromkeys(_SCALE, math.nan), **scale}


def _known(item: Dataset, keywords: dict[str, str], read: Callable[[Dataset, str], float | None]) -> dict[str, Any]:
    values = {name: optional(read, item, keyword) for name, keyword in keywords.items()}
    return {name: value for name, value in values.items() if value is not None}


def _has_scale(region: dict[str, Any]) -> bool:
    deltas = (region["delta_x"], region["delta_y"])
    return (
        region["spatial_format"] == _FORMAT_2D
        and region["units_x"] == region["units_y"] == _UNITS_CM
        and all(math.isfinite(delta) and delta != 0 for delta in deltas)
    )
