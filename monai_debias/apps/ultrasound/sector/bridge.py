# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Areas that are one sector with a black gap across it: bands of depths, or beams on either side of a shadow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from monai_debias.apps.ultrasound.sector.evidence import Evidence
from monai_debias.apps.ultrasound.sector.fan import Fan
from monai_debias.apps.ultrasound.sector.fit import Fit, coherence, union

__all__ = ["bridge", "extends_to", "join"]

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

_SUPPORTED = 0.9  # of the outline of a fan over both areas, for a gap that hardly reaches it
_FILLED = 0.75  # how well it has to explain them then
_FULL = 0.8  # share of the full depths or beams that has to be tissue
_FULL_BEAMS = 0.87
_ELSEWHERE = 0.1  # the most tissue that may be outside of them
_PARALLEL = 0.15  # change of direction from the first to the last beam; below it beams are parallel
_CONVERGING = 0.6  # ... and above it, surely not
_GAP_OF_PARALLEL = 0.4  # of the whole depth: two rectangles one above the other may as well be two pictures


def join(parts: Sequence[Fit], fit: Callable[[Evidence], Fan]) -> Fit | None:
    """Find the common fan of areas that a narrow gap parts: it has tissue nearly all along its outline.

    Args:
        parts: what was fitted to each area.
        fit: finds the fan of some evidence.

    Returns:
        The common fit, or None if the areas are not parts of one sector.
    """
    both = union([one.evidence for one in parts])
    common = Fit(fit(both), both, bridged=any(one.bridged for one in parts))
    return common if common.support >= _SUPPORTED and coherence([common]) >= _FILLED else None


def bridge(parts: Sequence[Fit], fit: Callable[[Evidence], Fan]) -> Fit | None:
    """Find the common fan of areas that a black gap parts, if there is one.

    Nothing is asked of what lies between the areas. They are one sector if each of the common fan's depths (or of its
    beams) is either full of tissue from side to side or empty.

    Args:
        parts: what was fitted to each area.
        fit: finds the fan of some evidence.

    Returns:
        The common fit, or None if the areas are not parts of one sector.
    """
    both = union([one.evidence for one in parts])
    between = _hull(both.weight > 0) & (both.weight < 0)
    patient = replace(both, weight=np.where(between, np.float32(0), both.weight))
    common = Fit(fit(patient), patient, bridged=True)
    return common if _full_or_empty(common) else None


def extends_to(larger: Fit, smaller: Fit) -> bool:
    """Whether an area lies roughly between the outer beams of a fan, or between its first and its last depth."""
    margins = larger.fan.margins(*larger.evidence.weight.shape)[:4, smaller.evidence.weight > 0]
    reach = 3 + 0.15 * np.sqrt(larger.size)
    return any(np.mean(pair.min(axis=0) > -reach) > 0.85 for pair in (margins[:2], margins[2:]))


def _hull(cells: Mask) -> Mask:
    """The cells' convex hull."""
    row, column = np.nonzero(cells)
    try:
        edges = ConvexHull(np.stack([row, column], axis=1)).equations.astype(np.float32)
    except QhullError:  # all in one line
        return cells
    y, x = np.ogrid[: cells.shape[0], : cells.shape[1]]
    hull = np.ones(cells.shape, bool)
    for down, right, offset in edges:
        hull &= down * y + right * x + offset <= 1e-3
    return hull


def _full_or_empty(common: Fit) -> bool:
    """Whether the gap runs from side to side of the fan, or along its beams, and nowhere else."""
    beam, arc, row = common.fan.coordinates(*common.evidence.weight.shape)
    turn = abs(common.fan.spread) * (common.fan.right - common.fan.left)
    positive = common.evidence.weight > 0
    if (positive & ~common.inside).sum() > _ELSEWHERE * common.size:
        return False
    modes = [(row, _FULL, 1.0 if turn > _PARALLEL else _GAP_OF_PARALLEL)]
    if turn > _PARALLEL:
        modes.append((arc, _FULL, 1.0))
    if turn > _CONVERGING:  # side by side, areas whose beams do not meet in one point are two pictures
        modes.append((beam, _FULL_BEAMS, _GAP_OF_PARALLEL))
    return any(_in_slices(common.inside, positive, *mode) for mode in modes)


def _in_slices(inside: Mask, positive: Mask, position: Array, fill: float, widest: float) -> bool:
    """Whether a fan's slices of equal depth (or beam) are either full or empty."""
    number = np.floor(position[inside] - position[inside].min()).astype(int)
    total, hits = np.bincount(number), np.bincount(number, positive[inside])
    full = hits > 0.5 * total
    if not full.any() or hits[~full].sum() > _ELSEWHERE * hits.sum() or np.mean(~full) > widest:
        return False
    share = hits[full] / total[full]
    return bool(share.mean() >= fill and np.percentile(share, 15) >= fill - 0.1)
