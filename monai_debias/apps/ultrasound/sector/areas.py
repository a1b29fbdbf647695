# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Screens with several areas: which belong to one sector, which are sectors of their own, and which are none.

Two planes side by side are two sectors; a spectrum or an M-mode strip under the picture is none; a band of depths on
either side of a black gap is a part of one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_debias.apps.ultrasound.sector.bridge import bridge, extends_to, join
from monai_debias.apps.ultrasound.sector.evidence import Evidence
from monai_debias.apps.ultrasound.sector.fan import Fan
from monai_debias.apps.ultrasound.sector.fit import Fit, coherence, union

__all__ = ["explain", "scrolls", "separate_areas"]

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

_ABSENT = -1.0  # weight of evidence that belongs to another area
_BETTER = 0.1  # how much better several fans have to explain the evidence than a single one
_MOST_AREAS = 6  # more are fragments
_WORTH_TELLING = 0.08  # share of the largest area; smaller ones are icons and clocks
_SAME = 0.35  # change that is left of a scrolling strip when it is shifted back


def separate_areas(evidence: Evidence, least: float) -> list[Evidence]:
    """Take positive evidence apart into connected areas.

    Args:
        evidence: of the whole image.
        least: areas that have less than this share of the largest are left out.

    Returns:
        The areas, the largest first, each with the others' evidence made negative.
    """
    positive = evidence.weight > 0
    labels, count = ndimage.label(ndimage.binary_closing(np.pad(positive, 2), np.ones((3, 3))), np.ones((3, 3)))
    labels = labels[2:-2, 2:-2]
    sizes = np.bincount(labels[positive], minlength=count + 1)
    sizes[0] = 0
    order = [number for number in np.argsort(-sizes, kind="stable") if sizes[number] >= max(1, least * sizes.max())]
    return [_only(evidence, labels == number) for number in order[:_MOST_AREAS]]


def explain(areas: Sequence[Evidence], fit: Callable[[Evidence], Fan], own: float) -> tuple[list[Fit], list[Fit]]:
    """Find the fans that explain the areas: those are joined whose common fan has tissue all along its outline.

    Args:
        areas: at least one, the largest first.
        fit: finds the fan of some evidence.
        own: areas that belong to no other are sectors of their own if they have this share of the largest.

    Returns:
        The fits that are sectors, and those that were left out.
    """
    fits = [Fit(fit(area), area) for area in areas]
    strips = [one for one in fits if any(_is_strip_under(one, other) for other in fits)]
    fits = [one for one in fits if not any(one is strip for strip in strips)]
    fits = [*(_across_gaps(fits, fit) or fits), *strips]
    while (pair := _first_pair(fits, fit)) is not None:
        first, second, common = pair
        fits = [common, *(one for one in fits if one is not first and one is not second)]
    candidates = [one for one in fits if not any(_is_strip_under(one, other) for other in fits)]
    largest = max(one.size for one in candidates)
    kept = [one for one in candidates if one.size >= own * largest]
    left_out = [one for one in fits if not any(one is other for other in kept) and one.size >= _WORTH_TELLING * largest]
    if len(kept) > 1:
        every = union([one.evidence for one in kept])
        single = Fit(fit(every), every)
        if coherence(kept) < coherence([single]) + _BETTER:
            kept = [single]
    return kept, left_out


def scrolls(frames: Array) -> bool:
    """Whether a part of a clip moves sideways as a whole, as spectra and M-mode strips do; tissue never does.

    Args:
        frames: (rows, columns, frames) of at least 2 frames.

    Returns:
        True if most frames are the one before, shifted to the same side.

    Example:
        >>> import numpy as np
        >>> strip = np.random.default_rng(0).uniform(0, 255, (20, 80))
        >>> scrolls(np.stack([strip[:, k : k + 40] for k in (0, 4, 8, 12)], axis=-1))
        True
        >>> scrolls(np.random.default_rng(0).uniform(0, 255, (20, 40, 8)))
        False
    """
    frames = frames[:: max(1, frames.shape[0] // 64)]
    sides = [_shift(before, after) for before, after in itertools.pairwise(np.moveaxis(frames, -1, 0))]
    moved = [side for side in sides if side is not None]  # repeated frames say nothing
    return len(moved) > 0 and max(moved.count(1), moved.count(-1)) > 0.6 * len(moved)


def _shift(before: Array, after: Array) -> int | None:
    """-1 or 1: to which side a frame was shifted; 0 if it was not; None if nothing changed."""
    changed = np.abs(after - before).mean()
    if changed == 0:
        return None
    columns = before.shape[1]
    spectra = [np.fft.rfft(image - image.mean(), 2 * columns, axis=1) for image in (before, after)]
    likeness = np.fft.irfft((spectra[0].conj() * spectra[1]).sum(axis=0), 2 * columns)
    overlap = columns - np.abs(np.fft.fftfreq(2 * columns, 1 / (2 * columns)))
    likeness = np.where(overlap >= columns // 3, likeness / np.maximum(overlap, 1), -np.inf)
    shift = int((likeness.argmax() + columns) % (2 * columns) - columns)
    if abs(shift) < 2:
        return 0
    kept = (before[:, -shift:], after[:, :shift]) if shift < 0 else (before[:, :-shift], after[:, shift:])
    return int(np.sign(shift)) if np.abs(kept[0] - kept[1]).mean() < _SAME * changed else 0


def _across_gaps(fits: Sequence[Fit], fit: Callable[[Evidence], Fan]) -> list[Fit] | None:
    """One fit to all areas of any size, then the areas that do not belong to it; None if they are not one sector."""
    if len(fits) == 1:
        return None
    if (every := bridge(fits, fit)) is not None:
        return [every]
    large = [one for one in fits if one.size >= _WORTH_TELLING * fits[0].size]
    common = bridge(large, fit) if 1 < len(large) < len(fits) else large[0] if len(large) == 1 else None
    if common is None:
        return None
    others: list[Fit] = []
    for small in fits[len(large) :]:
        both = bridge([common, small], fit) if extends_to(common, small) else None
        common, others = (both, others) if both is not None else (common, [*others, small])
    return [common, *others]


def _first_pair(fits: Sequence[Fit], fit: Callable[[Evidence], Fan]) -> tuple[Fit, Fit, Fit] | None:
    """Two fits that are one sector with a narrow gap, and their common fit."""
    for first, second in itertools.combinations(fits, 2):
        common = join([first, second], fit) if extends_to(first, second) or extends_to(second, first) else None
        if common is not None:
            return first, second, common
    return None


def _is_strip_under(lower: Fit, upper: Fit) -> bool:
    """Whether one is a wide rectangle below the other and wider than it: a spectrum or an M-mode strip."""
    if upper is lower or not lower.is_strip or upper.size < 0.1 * lower.size:
        return False
    last, first = np.flatnonzero(upper.inside.any(axis=1)).max(), np.flatnonzero(lower.inside.any(axis=1)).min()
    wider = lower.inside.any(axis=0).sum() > 1.2 * upper.inside.any(axis=0).sum()
    return bool(wider and last <= first + 3)


def _only(evidence: Evidence, area: Mask) -> Evidence:
    return replace(evidence, weight=np.where((evidence.weight > 0) & ~area, np.float32(_ABSENT), evidence.weight))
