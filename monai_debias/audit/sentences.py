# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Findings in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from monai_debias.audit.finding import Finding

__all__ = ["amount", "headline", "sentence", "what_to_do"]

_CLAIM = {
    "used": "The network uses the {}",
    "encoded": "The network has encoded: {}",
    "present": "Present in the data: {}",
}


def amount(value: float, unit: str) -> str:
    """A number in its unit, as it is said: points of a hundred, or an AUC.

    Args:
        value: an effect.
        unit: unit of the finding.

    Example:
        >>> amount(0.217, "accuracy"), amount(0.36, "AUC"), amount(0.3, "decisions")
        ('21.7 points', 'AUC 0.86', '30.0 %')
    """
    if unit == "AUC":
        return f"AUC {0.5 + value:.2f}"
    if unit in ("accuracy", "share"):
        return f"{100 * value + 0.0:.1f} points"
    return f"{100 * value + 0.0:.1f} %" if unit in ("decisions", "images") else f"{value:.3g} {unit}"


def headline(finding: Finding) -> str:
    """The verdict in a few words.

    Args:
        finding: a finding with its verdict.

    Example:
        >>> found = Finding("b", "background", "used", "", 0.2, 0.1, 0.3, "accuracy", 0.02, 0.001, 50, verdict="found")
        >>> headline(found)
        'The network uses the background'
    """
    what = _named(finding)
    if finding.verdict == "found":
        return _CLAIM[finding.level].format(what)
    if finding.verdict == "not found":
        return f"Not {finding.level} above {amount(finding.delta, finding.unit)}: {what}"
    if finding.verdict == "too little data":
        return f"Too little data to tell whether it is {finding.level}: {what}"
    return f"Look at it: {what}"


def sentence(finding: Finding) -> str:
    """The effect of a finding with its interval, in one sentence.

    Args:
        finding: a finding.

    Example:
        >>> sentence(Finding("b", "x", "used", "of accuracy lost", 0.2, 0.1, 0.3, "accuracy", 0.02, 0.001, 50))
        '20.0 points (10.0 to 30.0) of accuracy lost.'
    """
    if finding.effect is None:
        return "The effect could not be estimated."
    value = amount(finding.effect, finding.unit)
    if finding.low is None or finding.high is None:
        return f"{value} {finding.measure}."
    low, high = (
        amount(end, finding.unit).removeprefix("AUC ").removesuffix(" points").removesuffix(" %")
        for end in (finding.low, finding.high)
    )
    return f"{value} ({low} to {high}) {finding.measure}."


def what_to_do(finding: Finding) -> str:
    """What follows from a finding, or an empty string.

    Args:
        finding: a finding with its verdict.
    """
    if finding.verdict == "too little data" and finding.patients_needed is not None:
        return f"About {finding.patients_needed} patients would do; this rests on {finding.patients}."
    if finding.verdict == "found" and finding.mends:
        masks = " Masks for them are written with --write_masks." if "boxes" in finding.details else ""
        return f"Overlays that mend it: {_listed(finding.mends)}.{masks}"
    return ""


def _named(finding: Finding) -> str:
    return f"attribute {finding.tested}" if finding.check in ("attribute", "encoded", "present") else finding.tested


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
