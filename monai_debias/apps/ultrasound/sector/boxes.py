# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The sector inside of DICOM ultrasound regions, and whether these fit the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_debias.apps.ultrasound.sector.finder import (
    Sector,
    find_sector_in_clip,
    find_sector_in_still,
    share_of_motion,
)

__all__ = ["sector_in_boxes", "usable_boxes"]

Box = tuple[slice, slice]  # rows, columns

_WHOLE = 0.95  # of the image; a region that covers more does not tell the sector from the rest
_LEAST_FILLED = 0.35  # of a region, by a sector in it; half is usual
_WHOLE_REGION = "nothing in the DICOM ultrasound region looks like a field of view, so the whole region was taken"
_FORMAT_2D, _TISSUE_AND_FLOW = 1, (1, 2)  # of DICOM PS3.3 C.8.5.5: spatial format, data types


def usable_boxes(regions: Sequence[Mapping[str, Any]], frames: NDArray[np.float32]) -> tuple[list[Box], str | None]:
    """The (rows, columns) of 2-D tissue regions that are not inside another; and why they cannot be used, if so."""
    rows, columns, count = frames.shape
    flat = [r for r in regions if r["spatial_format"] == _FORMAT_2D and r["data_type"] in _TISSUE_AND_FLOW]
    corners = [(r["x0"], r["y0"], r["x1"], r["y1"]) for r in flat]
    boxes = []
    problem = None if flat else "the image has none of 2-D tissue"
    for x0, y0, x1, y1 in dict.fromkeys(corners):
        # x1 = columns occurs in real files and does no harm
        if not (0 <= x0 < x1 <= columns and 0 <= y0 < y1 <= rows):
            problem = (
                f"the one from column {x0}, row {y0} to column {x1}, row {y1} does not fit the image of {rows} rows "
                f"and {columns} columns, which was cropped or resized after acquisition"
            )
        others = [corner for corner in corners if corner != (x0, y0, x1, y1)]
        if not any(a <= x0 and b <= y0 and x1 <= c and y1 <= d for a, b, c, d in others):
            boxes.append((slice(y0, y1 + 1), slice(x0, x1 + 1)))
    if problem is None and _allowed(boxes, rows, columns).mean() > _WHOLE:
        problem = "they cover the whole image, so they do not tell the sector from what is around it"
    # a region may fit by chance
    if problem is None and count > 1 and share_of_motion(frames, _allowed(boxes, rows, columns)) < 0.5:
        problem = "most of what moves is outside of them, so the image was cropped or resized after acquisition"
    return boxes, problem


def sector_in_boxes(frames: NDArray[np.float32], boxes: Sequence[Box]) -> Sector:
    """The union of what is found in each region, as sure as the least sure of them.

    Args:
        frames: (rows, columns, frames), in grey levels from 0 to 255.
        boxes: the rows and columns of the regions.
    """
    sectors = [_inside_box(frames, box) for box in boxes]
    return Sector(
        np.any([sector.mask for sector in sectors], axis=0),
        min(sector.confidence for sector in sectors),
        tuple(dict.fromkeys(doubt for sector in sectors for doubt in sector.doubts)),
    )


def _inside_box(frames: NDArray[np.float32], box: Box) -> Sector:
    """The sector in one region: by motion, by texture, or the whole region where there is neither."""
    allowed = _allowed([box], *frames.shape[:2])
    sector = find_sector_in_clip(frames, allowed) if frames.shape[-1] > 1 else None
    if sector is None:
        sector = find_sector_in_still(frames[..., 0], allowed) or Sector(allowed, 0.0, (_WHOLE_REGION,))
    mask = sector.mask & allowed
    filled = float(mask.sum() / allowed.sum())
    little = f"it fills {filled:.0%} of the DICOM ultrasound region, where a sector fills half"
    doubts = (*[little] * (filled < _LEAST_FILLED), *sector.doubts)
    return Sector(mask, min(sector.confidence, filled / _LEAST_FILLED), doubts)


def _allowed(boxes: Sequence[Box], rows: int, columns: int) -> NDArray[np.bool_]:
    allowed = np.zeros((rows, columns), bool)
    for box in boxes:
        allowed[box] = True
    return allowed
