# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a heart: rhythm, conduction, ST segment, premature beats; and the labels that follow from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["LABELS", "Findings", "draw_findings"]

LABELS = (
    "normal",
    "atrial fibrillation",
    "left bundle branch block",
    "right bundle branch block",
    "anterior ST elevation",
    "inferior ST elevation",
    "ST depression",
    "premature ventricular beats",
    "first-degree block",
    "bradycardia",
    "tachycardia",
)
"""Names of the labels, several of which can be true of a record."""

_RHYTHMS = {"sinus rhythm": 0.64, "atrial fibrillation": 0.14, "bradycardia": 0.11, "tachycardia": 0.11}
_CONDUCTIONS = {"normal conduction": 0.76, "left bundle branch block": 0.12, "right bundle branch block": 0.12}
_ST_SEGMENTS = {
    "level ST": 0.61,
    "anterior ST elevation": 0.13,
    "inferior ST elevation": 0.13,
    "ST depression": 0.13,
}


class Findings(NamedTuple):
    """What one record shows.

    Attributes:
        rhythm: ``"sinus rhythm"``, ``"atrial fibrillation"``, ``"bradycardia"`` or ``"tachycardia"``.
        conduction: ``"normal conduction"``, ``"left bundle branch block"`` or ``"right bundle branch block"``.
        st: ``"level ST"``, ``"anterior ST elevation"``, ``"inferior ST elevation"`` or ``"ST depression"``.
        premature: whether there are premature ventricular beats.
        first_degree: whether the way from the atria to the ventricles takes too long.
    """

    rhythm: str = "sinus rhythm"
    conduction: str = "normal conduction"
    st: str = "level ST"
    premature: bool = False
    first_degree: bool = False

    @property
    def labels(self) -> list[int]:
        """1 or 0 for each of ``LABELS``; a heart is normal if nothing else is true of it."""
        shown = {self.rhythm, self.conduction, self.st}
        shown |= {"premature ventricular beats"} if self.premature else set()
        shown |= {"first-degree block"} if self.first_degree else set()
        abnormal = [int(label in shown) for label in LABELS[1:]]
        return [int(not any(abnormal)), *abnormal]


def draw_findings(rng: np.random.Generator) -> Findings:
    """Draw what a record shows.

    Fibrillating atria have no PR interval that could be long, and the ST segment of a left bundle branch block, which
    is never level, is not judged.

    Args:
        rng: source of randomness.
    """
    rhythm, conduction, st = (_draw(shares, rng) for shares in (_RHYTHMS, _CONDUCTIONS, _ST_SEGMENTS))
    premature, first_degree = rng.random(2) < (0.12, 0.13)
    return Findings(
        rhythm,
        conduction,
        "level ST" if conduction == "left bundle branch block" else st,
        bool(premature),
        bool(first_degree and rhythm != "atrial fibrillation"),
    )


def _draw(shares: dict[str, float], rng: np.random.Generator) -> str:
    return list(shares)[rng.choice(len(shares), p=list(shares.values()))]
