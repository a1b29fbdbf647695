# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Evidence that a place is inside the ultrasound sector: it moves like speckle, or looks like it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Evidence", "motion_evidence", "still_frame", "texture_evidence"]

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

# All levels are in grey levels of 255.
_CELLS = 110  # along the shorter side of the image; finer gains nothing, since a cell averages over its pixels
_LEAST_MOTION = 0.15  # one pixel in a cell of four that changes by one level between every second pair of frames
_LEAST_TEXTURE = 1.0  # ringing of JPEG around text stays below
_AGAINST = -1.0  # weight of a cell without sign of tissue; dark tissue has none either, so this is weak
_STILL_TEXTURE = -0.15  # ... of one that has texture but does not move: may be anything
_MOTION_WEIGHT = 3.0  # the most that motion counts; it is nearly sure
_TEXTURE_WEIGHT = 4.0
_LEAST_BAND = 0.015  # share of the bulk that a thin part must have
_TEXT_CONTRAST = 6.0  # text: steep edges beside exactly flat ground; speckle is rough everywhere


@dataclass(frozen=True)
class Evidence:
    """Evidence for the sector on a coarse grid of square cells.

    Attributes:
        weight: (cell rows, cell columns), positive for, negative against being inside, 0 where nothing is known.
        level: the measured motion or texture, log2 of grey levels.
        size: pixels along a cell's side.
        signs: (cell rows, cell columns), where anything was seen above the noise, also what is too thin to count.
    """

    weight: Array
    level: Array
    size: int
    signs: Mask

    @property
    def found(self) -> bool:
        """Whether anything speaks for a sector at all."""
        return bool((self.weight > 0).any())

    def coherence(self, inside: Mask) -> float:
        """How well a region explains the evidence: intersection over union of it and of what is positive.

        Cells of weight 0, which say nothing, do not count.
        """
        positive = self.weight > 0
        return float((positive & inside).sum() / max(1, (positive | inside & (self.weight < 0)).sum()))


def motion_evidence(frames: Array, still: Array, allowed: Mask | None = None) -> Evidence:
    """Find what changes in most frames.

    Speckle changes all the time and everywhere. Traces, clocks and sweeping lines pass a given place in few frames
    only, so the lower 60 % of a cell's changes are averaged; what is thin, or small beside the largest connected part,
    is left out.

    Args:
        frames: (rows, columns, frames) of at least 2 frames, in grey levels from 0 to 255.
        still: (rows, columns), what stands still in them, see :func:`still_frame`.
        allowed: (rows, columns), where the sector may be; everywhere by default.

    Returns:
        The evidence; cells that move are positive.

    Example:
        >>> import numpy as np
        >>> frames = np.zeros((64, 64, 8), np.float32)
        >>> frames[16:48, 8:56] = np.random.default_rng(0).uniform(0, 255, (32, 48, 8))
        >>> int((motion_evidence(frames, still_frame(frames)).weight > 0).sum())
        1536
    """
    size = _cell_size(*frames.shape[:2])
    change = _in_cells(np.abs(np.diff(frames, axis=-1)), size)
    repeated = ~change.any(axis=(0, 1))
    if not repeated.all():
        change = change[..., ~repeated]
    count = change.shape[-1]
    if count > 2:  # of two changes a trace may be in both: nothing to be gained
        change = np.sort(change, axis=-1)[..., : round(0.6 * count)]
    change = change.mean(axis=-1)
    floor = _noise_floor(change, _LEAST_MOTION)
    moving = (change > floor) & _allowed_cells(allowed, size, change.shape)
    bulk = _bulk(moving)
    bulk = _largest(bulk, bulk & moving, share=0.08)
    bulk |= _bands(moving, bulk)
    weight = np.full(change.shape, _AGAINST, np.float32)
    weight[_roughness(still, size)[0] > _LEAST_TEXTURE] = _STILL_TEXTURE
    weight[moving & ndimage.maximum_filter(bulk, 5)] = 0  # corners of the sector and what sticks out of it
    strength = 1.5 * np.log2(np.maximum(change, 1e-3) / floor)
    weight[moving & bulk] = strength[moving & bulk].clip(0.2, _MOTION_WEIGHT)
    return Evidence(weight, np.log2(change + floor), size, moving)


def texture_evidence(frame: Array, allowed: Mask | None = None, seed: Mask | None = None) -> Evidence:
    """Find the large rough areas of a still that are not text.

    Args:
        frame: (rows, columns) in grey levels from 0 to 255.
        allowed: (rows, columns), where the sector may be; everywhere by default.
        seed: (cell rows, cell columns), what the sector is known to contain: only the area with most of it is taken.

    Returns:
        The evidence; cells with texture are positive.
    """
    size = _cell_size(*frame.shape)
    rough, share = _roughness(frame, size)
    floor = _noise_floor(rough, _LEAST_TEXTURE)
    textured = (rough > floor) & ~_text(rough, share, floor) & _allowed_cells(allowed, size, rough.shape)
    core = _dense(textured, 0.8)
    area = _largest(core, core, share=0.08) if seed is None else _largest(core, core & seed, share=0.5)
    textured &= ndimage.binary_dilation(area & textured, np.ones((3, 3)), iterations=6)
    strength = 1.5 * np.log2(np.maximum(rough, 1e-3) / floor)
    weight = np.where(textured, strength.clip(0.2, _TEXTURE_WEIGHT), _AGAINST).astype(np.float32)
    return Evidence(weight, np.log2(rough + floor), size, textured)


def still_frame(frames: Array) -> Array:
    """What stands still in a clip: the lower median over (at most 7) frames, in which traces that move vanish.

    Args:
        frames: (rows, columns, frames).

    Returns:
        (rows, columns).

    Example:
        >>> import numpy as np
        >>> still_frame(np.array([[[3.0, 9.0, 3.0, 3.0]]]))
        array([[3.]])
    """
    chosen = frames[..., :: max(1, frames.shape[-1] // 7)][..., :7]
    middle = (chosen.shape[-1] - 1) // 2
    return np.partition(chosen, middle, axis=-1)[..., middle]


def _cell_size(rows: int, columns: int) -> int:
    return max(1, round(min(rows, columns) / _CELLS))


def _in_cells(values: Array, size: int) -> Array:
    """Mean over square cells; what does not fill a cell at the lower and right border is left out."""
    rows, columns, rest = values.shape[0] // size, values.shape[1] // size, values.shape[2:]
    bands = values[: rows * size, : columns * size].reshape(rows, size, columns * size, *rest).sum(axis=1)
    cells = bands.reshape(rows, columns, size, *rest).sum(axis=2)
    return cells / np.float32(size * size)


def _allowed_cells(allowed: Mask | None, size: int, shape: tuple[int, ...]) -> Mask:
    return np.ones(shape, bool) if allowed is None else _in_cells(allowed.astype(np.float32), size) > 0.5


def _roughness(frame: Array, size: int) -> tuple[Array, Array]:
    """Mean step between neighbouring pixels in each cell, and the share of pixels at a step of more than one level."""
    across = np.abs(np.diff(frame, axis=1, append=frame[:, -1:]))
    down = np.abs(np.diff(frame, axis=0, append=frame[-1:]))
    step = (across + down) / 2
    return _in_cells(step, size), _in_cells((step > 1).astype(np.float32), size)


def _text(rough: Array, share: Array, floor: float) -> Mask:
    """Cells of letters and lines."""
    rough, share = ndimage.uniform_filter(rough, 5), ndimage.uniform_filter(share, 5)
    # the border of the sector has flat ground on one side, but not on the other
    rough_share = ndimage.maximum_filter(share, 5)
    typical = np.median(rough[rough > floor]) if (rough > floor).any() else 0.0
    return (rough > _TEXT_CONTRAST) & ((rough_share < 0.8) | (rough_share < 0.97) & (rough > 2.5 * typical))


def _bulk(cells: Mask) -> Mask:
    """The cells without what is thin, like a trace that touches the sector.

    Small gaps and holes are closed, then a square is moved about inside; it gets smaller until it reaches most of the
    cells, because in a dark picture they lie scattered.
    """
    closed = ndimage.minimum_filter(ndimage.maximum_filter(cells, 3), 3)
    closed = ndimage.binary_fill_holes(closed)
    for side in (9, 7, 5, 3):
        bulk = ndimage.maximum_filter(ndimage.minimum_filter(closed, side), side)
        if (bulk & cells).sum() >= 0.85 * cells.sum():
            break
    return bulk


def _bands(cells: Mask, bulk: Mask) -> Mask:
    """Thin parts apart from the bulk that may be its continuation beyond a black gap: wider than a trace, not tiny."""
    thick = ndimage.binary_opening(ndimage.binary_closing(cells, np.ones((3, 3))), np.ones((3, 3)))
    labels, count = ndimage.label(thick | bulk)
    sizes = np.bincount(labels[cells], minlength=count + 1)
    sizes[np.unique(labels[bulk])] = 0
    return np.isin(labels, np.flatnonzero(sizes >= max(9, _LEAST_BAND * (bulk & cells).sum()))) & thick


def _dense(cells: Mask, share: float) -> Mask:
    """Where more than that share of the 5 x 5 neighbourhood is set: lines are not, speckle is."""
    return ndimage.uniform_filter(cells.astype(np.float32), 5) > share


def _largest(connected: Mask, counted: Mask, share: float) -> Mask:
    """The connected parts with the most cells counted, and those that have at least that share of the first one's."""
    labels, count = ndimage.label(connected)
    sizes = np.bincount(labels[counted], minlength=count + 1)
    sizes[0] = 0
    return np.isin(labels, np.flatnonzero((sizes > 0) & (sizes >= share * sizes.max())))


def _noise_floor(values: Array, least: float) -> float:
    """What noise alone can reach.

    Without noise most of the background is exactly 0. With noise it is the lowest narrow peak of the histogram: noise
    averaged over cells and frames is nearly the same everywhere, tissue is not.
    """
    ordered = np.sort(values, axis=None)
    tenth = len(ordered) // 10
    if ordered[len(ordered) // 20] < 0.02:
        return least
    width = np.log(ordered[tenth:] + 0.05) - np.log(
        ordered[:-tenth] + 0.05
    )  # of the interval that holds a tenth of the cells
    first = int(np.argmax(width <= 1.5 * width.min()))
    beyond = np.flatnonzero(width[first:] > 1.6 * width.min())
    last = first + int(beyond[0]) if len(beyond) else len(width)
    peak = float(ordered[first + int(width[first:last].argmin()) + tenth // 2])
    if peak > 5:  # no scanner's background is that noisy: the sector fills the image
        return least
    below = ordered[(ordered > peak / 2) & (ordered <= peak)]
    deviation = 1.4826 * float(np.median(peak - below))
    return max(least, peak + 5 * deviation, 2 * peak)
