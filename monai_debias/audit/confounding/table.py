# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A survey as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from monai_debias.audit.confounding.confounder import Confounder
from monai_debias.audit.confounding.predictability import ALL
from monai_debias.audit.confounding.survey import Survey

__all__ = ["survey_lines"]

_SHOWN, _NAMED = 12, 8


def survey_lines(survey: Survey) -> list[str]:
    """What goes with the label, the strongest first, in lines to read.

    Args:
        survey: from :func:`~monai_debias.audit.confounding.survey.survey_section`.
    """
    note = f" ({survey.note})" if survey.note else ""
    looked = f"{survey.images} images of {survey.patients} patients{note}"
    attributes = _table(
        "attribute", "tells of the label", survey.attributes, "{:.0%}", "no attribute has more than one value"
    )
    properties = _table(
        "property of the files", "AUC for the label", survey.properties, "{:.2f}", "no two files differ"
    )
    return [
        f"what goes with the label in section {survey.section!r}: {looked}",
        *attributes,
        *properties,
        "",
        *_verdict(survey),
    ]


def _table(title: str, measure: str, found: Sequence[Confounder], number: str, without: str) -> list[str]:
    if not found:
        return ["", f"  {without}"]
    ordered = _strongest_first(found)[:_SHOWN]
    width = max(len(title), *(len(one.title) for one in ordered))
    lines = ["", f"  {title:{width}}  {measure:18}  {'95 % interval':16}  p, corrected"]
    for one in ordered:
        effect, low, high = (number.format(value) for value in (one.effect, one.low, one.high))
        mark = " *" if one.is_more_than_chance else ""
        lines.append(f"  {one.title:{width}}  {effect:18}  {f'{low} to {high}':16}  {one.adjusted_p:.3g}{mark}")
    return lines + ([f"  … and {len(found) - _SHOWN} more; --out writes all"] if len(found) > _SHOWN else [])


def _strongest_first(found: Sequence[Confounder]) -> list[Confounder]:
    return sorted(found, key=lambda one: (one.adjusted_p, -one.effect))


def _verdict(survey: Survey) -> list[str]:
    ordered = [*_strongest_first(survey.attributes), *_strongest_first(survey.properties)]
    more = [one.name for one in ordered if one.is_more_than_chance]
    if not more:
        return ["  nothing here goes with the label more than chance would have it, at the 5 % level"]
    found = [name for name in dict.fromkeys(more) if name != ALL] or ["the properties together"]
    return [
        f"  with a star: {', '.join(found[:_NAMED])}{', …' if len(found) > _NAMED else ''}.",
        "  A network can use these in place of the finding. Whether it does is seen on data where they say nothing:",
        "  balance them, test on another hospital, or audit the trained network.",
    ]
