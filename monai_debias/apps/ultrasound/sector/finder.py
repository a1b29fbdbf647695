# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ultrasound sector in a clip or a still: a fan fitted to what moves or has texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monai_debias.apps.ultrasound.sector.areas import explain, scrolls, separate_areas
from monai_debias.apps.ultrasound.sector.edges import fit_to_edges
from monai_debias.apps.ultrasound.sector.evidence import Evidence, motion_evidence, still_frame, texture_evidence
from monai_debias.apps.ultrasound.sector.fit import Fit, coherence, solidity
from monai_debias.apps.ultrasound.sector.marks import cut_overlays
from monai_debias.apps.ultrasound.sector.room import beyond, cells_within, unseen

__all__ = ["Sector", "find_sector_in_clip", "find_sector_in_still", "share_of_motion"]

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

_OWN_MOVING = 0.2  # share of the largest moving area that another needs to be a sector of its own
_OWN_TEXTURED = 0.5  # ... of the largest textured one
_LEAST_PART = 0.015  # ... to be a part of a sector beyond a black gap
_MUCH_ROOM = 0.22  # of the fan's area, black, where there may be a near field or a side without contact
_MUCH_BEYOND = 0.05  # of the fan's area, beside it, where something faint was seen
_FAINT = 8  # how much more of it there is than is seen
_STILL = 0.6  # the most that texture is worth
_BY_TEXTURE = "it was found in a still, by texture alone; a clip makes it reliable"


@dataclass(frozen=True)
class Sector:
    """What was found.

    Attributes:
        mask: (rows, columns), one fan or the union of several.
        confidence: 0 to 1, the smallest of four shares: the overlap of fan and tissue (intersection over union); the
            part of the fan's outline that has tissue beside it; and how much of the sector the fan covers if black
            room beside it, or if faint tissue beyond its edges, belongs to the sector. For a still, 0.6 times that.
        doubts: what speaks against it, in words.
    """

    mask: Mask
    confidence: float
    doubts: tuple[str, ...] = ()


def find_sector_in_clip(frames: Array, allowed: Mask | None = None) -> Sector | None:
    """Find the sector as what moves.

    Where only part of the tissue moves (the heart, with the rest quite still) the area of texture around it is taken,
    if it makes clearly the better fan. Several moving areas are one sector if a common fan has tissue all along its
    outline, else sectors of their own; what scrolls sideways is none.

    Args:
        frames: (rows, columns, frames) of at least 2 frames, in grey levels from 0 to 255; a dozen frames are enough.
        allowed: (rows, columns), where the sector may be; everywhere by default.

    Returns:
        The sector, or None if nothing moves that may be one.

    Example:
        >>> import numpy as np
        >>> frames = np.zeros((64, 64, 8), np.float32)
        >>> frames[16:48, 8:56] = np.random.default_rng(0).uniform(0, 255, (32, 48, 8))
        >>> int(find_sector_in_clip(frames).mask.sum())
        1536
    """
    still = still_frame(frames)
    moving = motion_evidence(frames, still, allowed)
    areas = separate_areas(moving, _LEAST_PART) if moving.found else []
    kept = [area for area in areas if not _scrolls(frames, area)]
    if not kept:
        return None
    doubts = (
        [f"{len(areas) - len(kept)} moving areas scroll sideways, as spectra and M-mode do"]
        if len(kept) < len(areas)
        else []
    )
    fits, left_out = explain(kept, fit_to_edges, _OWN_MOVING)
    if len(fits) == 1:
        fits = [_with_texture(fits[0], still, allowed)]
    change = np.abs(np.diff(frames, axis=-1)).mean(axis=-1)
    masks = [cut_overlays(one, still, change) for one in fits]
    return _sector(np.any(masks, axis=0), moving, fits, left_out, allowed, doubts)


def find_sector_in_still(frame: Array, allowed: Mask | None = None) -> Sector | None:
    """Find the sector as the largest area of texture that is not text, with what lies beyond a dark gap.

    Args:
        frame: (rows, columns) in grey levels from 0 to 255.
        allowed: (rows, columns), where the sector may be; everywhere by default.

    Returns:
        The sector, or None if there is no such area. Its confidence is at most 0.6, and its first doubt says
        why: texture is a weaker sign than motion.

    Example:
        >>> import numpy as np
        >>> frame = np.zeros((64, 64), np.float32)
        >>> frame[16:48, 8:56] = np.random.default_rng(0).uniform(0, 255, (32, 48))
        >>> mask = find_sector_in_still(frame).mask
        >>> bool(mask[17:47, 9:55].all()), int(mask.sum()) < 1800
        (True, True)
    """
    textured = texture_evidence(frame, allowed)
    if not textured.found:
        return None
    fits, left_out = explain(separate_areas(textured, _LEAST_PART), fit_to_edges, _OWN_TEXTURED)
    mask = np.any([one.fan.contains(frame.shape[0], frame.shape[1], textured.size) for one in fits], axis=0)
    sector = _sector(mask, textured, fits, left_out, allowed, [])
    return replace(sector, confidence=_STILL * sector.confidence, doubts=(_BY_TEXTURE, *sector.doubts))


def share_of_motion(frames: Array, allowed: Mask) -> float:
    """How much of what moves is inside an area.

    Args:
        frames: (rows, columns, frames) of at least 2 frames, in grey levels from 0 to 255.
        allowed: (rows, columns), the area.

    Returns:
        The share, 0 to 1; 1 if nothing moves.

    Example:
        >>> import numpy as np
        >>> frames = np.zeros((64, 64, 8), np.float32)
        >>> frames[16:48, 8:56] = np.random.default_rng(0).uniform(0, 255, (32, 48, 8))
        >>> share_of_motion(frames, np.arange(64)[:, None] < np.full(64, 32))
        0.5
    """
    moving = motion_evidence(frames, still_frame(frames))
    columns, rows = ((np.arange(n) * moving.size + moving.size // 2) for n in moving.weight.shape[::-1])
    positive = moving.weight > 0
    return float((positive & allowed[np.ix_(rows, columns)]).sum() / positive.sum()) if moving.found else 1.0


def _sector(
    mask: Mask, found: Evidence, fits: Sequence[Fit], left_out: Sequence[Fit], allowed: Mask | None, doubts: list[str]
) -> Sector:
    """The sector with its confidence, and what speaks against it."""
    places = np.ones(found.weight.shape, bool) if allowed is None else cells_within(allowed, found)
    room = [unseen(one.fan, found, places) for one in fits]
    supported = sum(one.support * one.size for one in fits) / sum(one.size for one in fits)
    outside = beyond(np.any([one.inside for one in fits], axis=0), found)
    confidence = min(
        solidity(fits, left_out), supported, 1 / (1 + max(share for share, _ in room)), 1 / (1 + _FAINT * outside)
    )
    dark = [what for share, what in room if share > _MUCH_ROOM]
    dark += ["faint tissue was seen beyond its edges"] * (outside > _MUCH_BEYOND)
    return Sector(mask, confidence, (*doubts, *_in_words(fits, left_out), *dict.fromkeys(dark)))


def _in_words(fits: Sequence[Fit], left_out: Sequence[Fit]) -> tuple[str, ...]:
    gap = "a black gap across the sector was bridged; areas that far apart may be separate pictures"
    several = f"{len(fits)} areas were taken for sectors of their own"
    less = f"{len(left_out)} areas were left out: they do not look like a sector, or do not fit the others"
    return (*[gap] * any(one.bridged for one in fits), *[several] * (len(fits) > 1), *[less] * bool(left_out))


def _scrolls(frames: Array, area: Evidence) -> bool:
    rows, columns = (np.flatnonzero((area.weight > 0).any(axis=axis)) * area.size for axis in (1, 0))
    return scrolls(frames[rows[0] : rows[-1] + area.size, columns[0] : columns[-1] + area.size])


def _with_texture(found: Fit, still: Array, allowed: Mask | None) -> Fit:
    """The fit to what has texture around it, if it is clearly the better one."""
    moving = found.evidence
    textured = texture_evidence(still, allowed, seed=moving.weight > 0)
    if (textured.weight > 0).sum() <= 1.25 * found.size:
        return found
    both = replace(moving, weight=np.maximum(moving.weight, textured.weight))
    larger = Fit(fit_to_edges(both), both)
    return larger if coherence([larger]) > coherence([found]) + 0.1 else found
