# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What an audit finds: one finding for each thing that was tested, and what follows from its numbers.

Three claims are kept apart, and each is a *level*: an attribute is **present** in the data where it predicts the label,
**encoded** in the network where its features tell it, and **used** where predictions follow it. Only the last is a
finding against the network. A finding that is **described** makes no claim; it shows where to look.

===================  ================================================  ============================================
verdict              rule                                              meaning
===================  ================================================  ============================================
``found``            adjusted p ≤ α, and effect ≥ δ                    the claim of the level holds
``not found``        high < δ                                          if there is an effect, it is smaller than δ
``too little data``  neither                                           more patients are needed
``described``        of findings without a test                        look at it
===================  ================================================  ============================================

The effect of a finding is 0 where nothing is wrong and grows with the shortcut; ``low`` to ``high`` is its interval
and δ the smallest effect that matters, all in one unit. p-values are adjusted by Holm's method over the findings of a
level, so that the chance of any false claim of that level is at most α (Holm, Scand. J. Statist. 1979).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

__all__ = ["LEVELS", "Evidence", "Finding", "decide", "holm"]

LEVELS = ("used", "encoded", "present", "described")


@dataclass(frozen=True)
class Evidence:
    """An image that shows a finding, before and after what was done to it.

    Args:
        image: its number in the data set.
        caption: what can be seen, in a few words.
        before: the image as a PNG in a ``data:`` address.
        after: the changed image, in the same form.
    """

    image: int
    caption: str
    before: str
    after: str


@dataclass(frozen=True)
class Finding:
    """What one check says about one thing; plain values, so that it is the same after a journey through JSON.

    Args:
        check: name of the check.
        tested: what it tested, such as ``"scanner"`` or ``"background"``.
        level: ``"present"``, ``"encoded"``, ``"used"`` or ``"described"``.
        measure: what the effect is, as the end of a sentence.
        effect: 0 where nothing is wrong; None if it could not be estimated.
        low: lower end of its 95 % interval.
        high: upper end.
        unit: ``"accuracy"``, ``"AUC"`` …; an AUC is given as its distance from 0.5.
        delta: δ, the smallest effect that matters, in the same unit.
        p: p-value of the test; None without one.
        patients: number of patients that it rests on.
        question: name of the label that the network was asked for; empty where it answers one question only.
        mends: names of the overlays that mend what was found.
        note: what a reader has to know about this result.
        details: further numbers by name.
        evidence: the images that show it best.
        changes: number of an image and its own effect, for each image that was measured.
        adjusted_p: the p-value after the correction for the number of findings, see :func:`decide`.
        verdict: see :mod:`monai_debias.audit.finding`.
        patients_needed: how many would do where there is too little data.
        limit_of_none: whether the interval ends with the exact limit of none in so many patients.
    """

    check: str
    tested: str
    level: str
    measure: str
    effect: float | None
    low: float | None
    high: float | None
    unit: str
    delta: float
    p: float | None
    patients: int
    question: str = ""
    mends: tuple[str, ...] = ()
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    changes: tuple[tuple[int, float], ...] = ()
    adjusted_p: float | None = None
    verdict: str = ""
    patients_needed: int | None = None
    limit_of_none: bool = False

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finding:
        """The finding that :meth:`to_json` was called on.

        Args:
            values: what JSON has made of it.
        """
        lists = {
            "mends": tuple(values["mends"]),
            "evidence": tuple(Evidence(**one) for one in values["evidence"]),
            "changes": tuple((int(image), float(change)) for image, change in values["changes"]),
        }
        return cls(**{**values, **lists})


def decide(findings: Sequence[Finding], alpha: float) -> list[Finding]:
    """Adjust the p-values of all findings of an audit, and give each its verdict.

    Args:
        findings: the findings of all checks.
        alpha: α, the chance of any false claim of a level.

    Returns:
        The findings with ``adjusted_p``, ``verdict`` and ``patients_needed``, in the same order.

    Example:
        >>> one = Finding("b", "x", "used", "", 0.2, 0.1, 0.3, "accuracy", 0.05, 0.001, 50)
        >>> two = dataclasses.replace(one, effect=0.0, low=-0.1, high=0.1, p=0.5)
        >>> [(f.adjusted_p, f.verdict, f.patients_needed) for f in decide([one, two], alpha=0.01)]
        [(0.002, 'found', None), (0.5, 'too little data', 200)]
    """
    adjusted: dict[int, float] = {}
    for level in LEVELS:
        tested = [i for i, finding in enumerate(findings) if finding.level == level and finding.p is not None]
        adjusted |= dict(zip(tested, holm([findings[i].p or 0.0 for i in tested]), strict=True))
    return [_decided(finding, adjusted.get(i), alpha) for i, finding in enumerate(findings)]


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's method: the i-th smallest of m times m - i + 1, and never below a smaller one.

    Args:
        p: the p-values.

    Returns:
        The adjusted p-values, in the same order.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(order), 0, -1))
    found = np.empty(len(order))
    found[order] = np.minimum(adjusted, 1)
    return found.tolist()


def _decided(finding: Finding, adjusted_p: float | None, alpha: float) -> Finding:
    if finding.level == "described":
        verdict = "described"
    elif finding.high is None or adjusted_p is None:
        verdict = "too little data"
    elif finding.high < finding.delta:
        verdict = "not found"
    else:
        found = adjusted_p <= alpha and (finding.effect or 0.0) >= finding.delta
        verdict = "found" if found else "too little data"
    needed = _patients_needed(finding, adjusted_p, alpha) if verdict == "too little data" else None
    return dataclasses.replace(finding, adjusted_p=adjusted_p, verdict=verdict, patients_needed=needed)


def _patients_needed(finding: Finding, p: float | None, alpha: float) -> int | None:
    """How many patients would do if the effect is what it seems: errors shrink as the root of their number.

    Those that make an effect of δ or more significant; otherwise those with which the interval would end at δ. A limit
    of none is 1 - c^(1/n) of n patients, and shrinks as their number.
    """
    if finding.effect is None or finding.low is None or finding.high is None or p is None:
        return None
    if finding.limit_of_none and finding.effect < finding.delta:
        now, then = (math.log1p(finding.effect - end) for end in (finding.high, finding.delta))
        return math.ceil(finding.patients * now / then)
    if finding.effect >= finding.delta:
        z = NormalDist().inv_cdf
        ratio = z(1 - alpha) / z(1 - min(p, 0.4))
    else:
        ratio = (finding.high - finding.effect) / max(finding.delta - finding.effect, finding.delta / 4)
    return math.ceil(finding.patients * max(1.0, ratio**2))
