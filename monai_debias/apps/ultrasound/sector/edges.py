# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A fan whose edges are exact: without the halo of compression, cut off by a straight border, up to the apex."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_debias.apps.ultrasound.sector.evidence import Evidence
from monai_debias.apps.ultrasound.sector.fan import Fan
from monai_debias.apps.ultrasound.sector.room import to_the_apex
from monai_debias.apps.ultrasound.sector.search import fit_fan

__all__ = ["fit_to_edges"]

_HALO = 18  # pixels: two blocks of JPEG and a little
_ABSENT = -1.0  # weight of evidence that turned out to be none


def fit_to_edges(evidence: Evidence) -> Fan:
    """The best fan for some evidence, in its cells, with exact edges."""
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
