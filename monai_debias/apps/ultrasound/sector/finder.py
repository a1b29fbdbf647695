# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ultrasound sector in a clip or a still: a fan fitted to what moves or has texture, made exact at its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_debias.apps.ultrasound.sector.areas import explain, scrolls, separate_areas
from monai_debias.apps.ultrasound.sector.evidence import Evidence, motion_evidence, still_frame, texture_evidence
from monai_debias.apps.ultrasound.sector.fan import Fan, fit_fan
from monai_debias.apps.ultrasound.sector.fit import Fit, coherence, solidity
from monai_debias.apps.ultrasound.sector.room import beyond, cells_within, to_the_apex, unseen

__all__ = ["Sector", "find_sector_in_clip", "find_sector_in_still", "share_of_motion"]

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

_HALO = 18  # pixels: two blocks of JPEG and a little
_ABSENT = -1.0  # weight of evidence that turned out to be none
_OWN_MOVING = 0.2  # share of the largest moving area that another needs to be a sector of its own
_OWN_TEXTURED = 0.5  # ... of the largest textured one
_LEAST_PART = 0.015  # ... to be a part of a sector beyond a black gap
_MUCH_ROOM = 0.22  # of the fan's area, black, where there may be a near field or a side without contact
_MUCH_BEYOND = 0.05  # of the fan's area, beside it, where something faint was seen
_FAINT = 8  # how much more of it there is than is seen
_STILL = 0.6  # the most that texture is worth
_OVERLAY_CONTRAST = 20.0  # grey levels of 255
_OVERLAY_FLICKER = 0.12  # change between frames relative to the brightness; speckle has 0.3 and more


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
    fits, left_out = explain(kept, _fit, _OWN_MOVING)
    if len(fits) == 1:
        fits = [_with_texture(fits[0], still, allowed)]
    change = np.abs(np.diff(frames, axis=-1)).mean(axis=-1)
    masks = [_cut_overlays(one, still, change) for one in fits]
    return _sector(np.any(masks, axis=0), moving, fits, left_out, allowed, doubts)


def find_sector_in_still(frame: Array, allowed: Mask | None = None) -> Sector | None:
    """Find the sector as the largest area of texture that is not text, with what lies beyond a dark gap.

    Args:
        frame: (rows, columns) in grey levels from 0 to 255.
        allowed: (rows, columns), where the sector may be; everywhere by default.

    Returns:
        The sector, or None if there is no such area. Its confidence is at most 0.6: texture is a weaker sign than
        motion.

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
    fits, left_out = explain(separate_areas(textured, _LEAST_PART), _fit, _OWN_TEXTURED)
    mask = np.any([one.fan.contains(frame.shape[0], frame.shape[1], textured.size) for one in fits], axis=0)
    sector = _sector(mask, textured, fits, left_out, allowed, [])
    return replace(sector, confidence=_STILL * sector.confidence)


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
    larger = Fit(_fit(both), both)
    return larger if coherence([larger]) > coherence([found]) + 0.1 else found


def _fit(evidence: Evidence) -> Fan:
    fan = fit_fan(evidence.weight)
    sharper = _without_halo(evidence, fan)
    if sharper.found and (sharper.weight != evidence.weight).any():
        evidence, fan = sharper, fit_fan(sharper.weight, start=fan)
    return to_the_apex(_cut_off(evidence, fan), evidence)


def _without_halo(evidence: Evidence, fan: Fan) -> Evidence:
    """Drop what compression noise adds outside of the sector, up to two blocks wide.

    Averaged along an edge of the fan, the sector ends with a sharp step, and nothing outside of it is nearly as strong
    as what is inside; at an edge that merely gets dark there is bright tissue on both sides of any such step.
    """
    margins = fan.margins(*evidence.weight.shape)[:4]
    deepest = round(_HALO / evidence.size) + 2
    halo = np.zeros(evidence.weight.shape, bool)
    for edge, margin in enumerate(margins):
        neighbours = margins[2:] if edge < 2 else margins[:2]
        strip = (neighbours.min(axis=0) > 2) & (margin > -5) & (margin < deepest + 4)
        if strip.sum() < 30:
            continue
        depth, level = margin[strip], evidence.level[strip]
        bins = np.floor(depth).astype(int) + 5
        count = np.bincount(bins, minlength=deepest + 9)
        profile = np.bincount(bins, level, minlength=deepest + 9) / np.maximum(count, 1)
        pairs = (profile[1:] + profile[:-1]) / 2
        # between two cells inside and two outside, from depth -1 on
        rise = pairs[4 : deepest + 5] - pairs[2 : deepest + 3]
        step = int(rise.argmax()) - 1
        if step < 1 or rise.max() < 1.5:
            continue
        outside = level[(depth < step - 1) & (level > evidence.level.min() + 0.6)]
        inside = level[(depth > step) & (depth < step + 4)]
        if not len(outside) or np.percentile(outside, 90) < np.median(inside) - 1:
            halo |= margin < step
    weight = np.where(halo & (evidence.weight > 0), np.float32(_ABSENT), evidence.weight)
    return replace(evidence, weight=weight)


def _cut_off(evidence: Evidence, fan: Fan) -> Fan:
    """Find whether a straight border cuts the fan off: nothing beyond it, and dense evidence all along its inside.

    An edge that merely gets dark looks ragged.
    """
    inside = fan.contains(*evidence.weight.shape)
    positive = inside & (evidence.weight >= 0)
    window: list[float] = []
    for axis in (0, 1):
        total, count = inside.sum(axis=axis), positive.sum(axis=axis)
        lines = np.flatnonzero(total)
        for order in (lines, lines[::-1]):
            border = -np.inf if order is lines else np.inf
            n, hits = total[order], count[order]
            for i in range(1, len(order) // 3):
                before = slice(max(0, i - 2), i)
                if (
                    n[:i].sum() >= 8
                    and n[i] >= 6
                    and hits[:i].sum() < 0.12 * n[:i].sum()
                    and hits[before].sum() < 0.3 * n[before].sum()
                    and hits[i : i + 2].sum() > 0.75 * n[i : i + 2].sum()
                ):
                    border = float(order[i]) if order is lines else float(order[i] + 1)
            window.append(border)
    return replace(fan, window=(window[0], window[1], window[2], window[3]))


def _cut_overlays(fit: Fit, still: Array, change: Array) -> Mask:
    """The fan in pixels, without the marks that reach over its edges: ticks, icons, letters; bright, never changing."""
    whole = np.zeros(still.shape, bool)
    size, near = fit.evidence.size, 0.01 * max(still.shape)
    high, wide = (
        slice(max(0, int(lines[0] * size - 4 * near)), int((lines[-1] + 2) * size + 4 * near))
        for lines in (np.flatnonzero(fit.inside.any(axis=axis)) for axis in (1, 0))
    )
    box = high, wide
    margins = fit.fan.margins(still.shape[0], still.shape[1], size, box)
    depth = margins.min(axis=0) * size
    mask: Mask = np.asarray(depth >= 0)
    contrast = still[box] - (float(np.median(still[box][~mask])) if not mask.all() else 0.0)
    overlay = (contrast > _OVERLAY_CONTRAST) & (change[box] < _OVERLAY_FLICKER * contrast)
    labels, count = ndimage.label(overlay & (depth < 3 * near))
    total, within = (np.bincount(labels[where], minlength=count + 1) for where in (labels > 0, mask & (labels > 0)))
    deepest = _largest_of(depth, labels, count)
    # a mark stands at the edge or mostly outside; what reaches further in may as well be bright tissue
    edgy = (within > 0) & ((within <= 0.5 * total) | (deepest < near))
    whole[box] = _without_marks(mask, margins, np.where(mask & edgy[labels], labels, 0), size) if edgy.any() else mask
    return whole


def _without_marks(mask: Mask, margins: Array, marks: NDArray[np.integer], size: int) -> Mask:
    """Move edges inwards past numbered marks, each by the edge that loses the fewest pixels, the cheapest marks first.

    A mark may cost a hundredth of the mask, all together a fiftieth.
    """
    numbers, marked = np.unique(marks[marks > 0], return_inverse=True)
    here = marks > 0
    limits = np.stack([_largest_of(margin[here], marked + 1, len(numbers))[1:] for margin in margins]) + 0.5 / size
    step = max(1, size // 3)  # a part of the pixels tells what share of them is lost
    few = mask[::step, ::step]
    lost = np.stack(
        [
            np.sort(margin[::step, ::step][few]).searchsorted(limit, "right")
            for margin, limit in zip(margins, limits, strict=True)
        ]
    )
    area = few.sum()
    order = np.argsort(lost.min(axis=0), kind="stable")
    chosen = np.arange(len(margins))[:, None] == lost.argmin(axis=0)[order]
    spent = np.maximum.accumulate(np.where(chosen, lost[:, order], 0), axis=1).sum(axis=0)
    affordable = (spent <= 0.02 * area) & (lost.min(axis=0)[order] <= 0.01 * area)
    inwards = np.where(chosen & affordable, limits[:, order], -np.inf).max(axis=1)
    return mask & (margins > inwards[:, None, None]).all(axis=0)


def _largest_of(values: Array, labels: NDArray[np.integer], count: int) -> Array:
    """The largest value under each label from 0 to ``count``."""
    largest = np.full(count + 1, -np.inf, values.dtype)
    labelled = labels > 0
    np.maximum.at(largest, labels[labelled], values[labelled])
    return largest
