# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A fan together with the evidence that it explains, and how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_debias.apps.ultrasound.sector.evidence import Evidence
from monai_debias.apps.ultrasound.sector.fan import Fan

__all__ = ["Fit", "coherence", "solidity", "union"]

Mask = NDArray[np.bool_]

_REACH = 4  # cells between the outline and the tissue next to it


@dataclass(frozen=True)
class Fit:
    """A fan and the evidence that it explains.

    Attributes:
        fan: in cells of the evidence.
        evidence: of one area, or of several that the fan covers.
        bridged: whether there is a black gap across the fan.
    """

    fan: Fan
    evidence: Evidence
    bridged: bool = False

    @cached_property
    def inside(self) -> Mask:
        """(cell rows, cell columns), what the fan contains."""
        return self.fan.contains(*self.evidence.weight.shape)

    @cached_property
    def size(self) -> int:
        """Number of cells that speak for it."""
        return int((self.evidence.weight > 0).sum())

    @cached_property
    def support(self) -> float:
        """Share of the fan's outline that has evidence beside it; over several areas it crosses what is empty."""
        outline = self.inside & ~ndimage.binary_erosion(self.inside)
        near = ndimage.binary_dilation(self.evidence.weight > 0, np.ones((3, 3)), iterations=_REACH)
        return float((outline & near).sum() / max(1, outline.sum()))

    @property
    def is_strip(self) -> bool:
        """Whether this is an upright rectangle that is more than twice as wide as high."""
        high, wide = (int(self.inside.any(axis=axis).sum()) for axis in (1, 0))
        upright = abs(self.fan.slope) < 0.1 and abs(self.fan.spread) * high < 0.2
        return upright and wide > 2 * high > 0


def coherence(fits: Sequence[Fit], left_out: Sequence[Fit] = ()) -> float:
    """How well fans explain the evidence, as intersection over union of them all and of what is positive.

    Args:
        fits: at least one.
        left_out: whose evidence is to be explained, too.
    """
    inside = np.any([one.inside for one in fits], axis=0)
    return union([one.evidence for one in (*fits, *left_out)]).coherence(inside)


def solidity(fits: Sequence[Fit], left_out: Sequence[Fit] = ()) -> float:
    """The same with dark places that tissue surrounds, such as the chambers of a heart, taken for tissue.

    Args:
        fits: at least one.
        left_out: whose evidence is to be explained, too.
    """
    evidence = union([one.evidence for one in (*fits, *left_out)])
    cells = np.pad(evidence.weight > 0, 3)
    solid = ndimage.binary_fill_holes(ndimage.binary_closing(cells, np.ones((3, 3)), iterations=2))[3:-3, 3:-3]
    known = replace(evidence, weight=np.where(solid, np.float32(1), evidence.weight))
    return known.coherence(np.any([one.inside for one in fits], axis=0))


def union(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several areas of one image."""
    return replace(parts[0], weight=np.max([part.weight for part in parts], axis=0))
