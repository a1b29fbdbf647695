# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What may belong to the sector next to a fan: black room for a near field or a lost side, or faint tissue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_debias.apps.ultrasound.sector.evidence import Evidence
from monai_debias.apps.ultrasound.sector.fan import Fan

__all__ = ["beyond", "cells_within", "to_the_apex", "unseen"]

Mask = NDArray[np.bool_]

_WIDEST_FLAT = 36.0  # degrees to either side; probes with a straight face spread their beams less
_NOTICEABLE = 0.03  # of the area
_NEXT_TO = 4.0  # cells; what is drawn that close to the fan may be its own edge


def cells_within(allowed: Mask, evidence: Evidence) -> Mask:
    """The cells of some evidence whose centres are in an area of the image."""
    row, column = ((np.arange(n) * evidence.size + evidence.size // 2) for n in evidence.weight.shape)
    return allowed[np.ix_(row, column)]


def to_the_apex(fan: Fan, evidence: Evidence) -> Fan:
    """Complete a wide fan of arcs that begins with a row: a phased probe whose near field is black.

    Args:
        fan: in cells.
        evidence: what was seen.

    Returns:
        The fan from where its beams meet, if there is black room up to there, else the same fan.
    """
    low, high = _outer_beams(fan)
    wide = (high - low) / 2 > _WIDEST_FLAT
    if not wide or fan.spread <= 0 or fan.arc_top or not fan.arc_bottom or np.isfinite(fan.window[2]):
        return fan
    longer = replace(fan, top=-1 / fan.spread)
    rows, columns = evidence.weight.shape
    room = longer.contains(rows, columns) & ~fan.contains(rows, columns)
    black = room & (evidence.weight == evidence.weight.min())
    fits = room.any() and black.sum() > 0.9 * room.sum() and fan.y + longer.top > 0
    return longer if fits and room.sum() > _NOTICEABLE * fan.contains(rows, columns).sum() else fan


def beyond(inside: Mask, evidence: Evidence) -> float:
    """How much goes on beyond the edges of a mask, connected with what is inside, as a share of its area.

    Args:
        inside: (cell rows, cell columns), the mask.
        evidence: of the whole image.
    """
    together = ndimage.binary_closing(np.pad(evidence.signs | inside, 4), np.ones((3, 3)), iterations=2)[4:-4, 4:-4]
    labels, _ = ndimage.label(together)
    connected = np.isin(labels, np.unique(labels[inside]))
    edge = ndimage.binary_dilation(inside, np.ones((3, 3)), iterations=2)
    return float((evidence.signs & connected & ~edge).sum() / inside.sum())


def unseen(fan: Fan, evidence: Evidence, places: Mask) -> tuple[float, str]:
    """How much of a sector may be black beside a fan, as a share of the fan's area, and what it would be.

    Args:
        fan: in cells.
        evidence: of the whole image.
        places: (cell rows, cell columns), where the sector may be.
    """
    low, high = _outer_beams(fan)
    leaning = abs(low + high) / (high - low) if high - low > 20 else 0.0
    return max(
        (_near_field(fan, evidence, places), "the tissue begins far below the top: a black near field may be missing"),
        (leaning, "the field of view leans to one side: the other one may be black"),
    )


def _outer_beams(fan: Fan) -> tuple[float, float]:
    """Directions of the first and last beam, in degrees from straight down."""
    low, high = np.degrees(np.arctan(fan.slope + fan.spread * np.array([fan.left, fan.right])))
    return (float(low), float(high)) if low < high else (float(high), float(low))


def _near_field(fan: Fan, evidence: Evidence, places: Mask) -> float:
    """Black room between the fan and its apex, or the edge of the image, or what is drawn there."""
    shape = evidence.weight.shape
    near, far = fan.margins(*shape)[2:4]
    if fan.spread < -0.1 / shape[0]:  # upside down
        near, far, longer = far, near, replace(fan, bottom=np.inf)
    else:
        longer = replace(fan, top=-np.inf)
    inside = fan.contains(*shape)
    room = longer.contains(*shape) & ~inside & (near < 0) & places
    drawn = room & (near < -_NEXT_TO) & (evidence.weight > evidence.weight.min())
    if drawn.any():
        room &= near > near[drawn].max()
    return float(room.sum() / max(1, inside.sum()))
