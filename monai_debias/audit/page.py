# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The page of an audit: one HTML file that needs nothing else, for a screen, a phone and paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from monai_debias.audit.finding import LEVELS, Evidence, Finding
from monai_debias.audit.run import Audit
from monai_debias.audit.sentences import amount, headline, sentence, what_to_do

__all__ = ["page"]

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_MARK = {"found": "!", "not found": "✓", "too little data": "?", "described": "i"}
_LEVEL = {
    "used": ("Used", "Predictions follow it: a finding against the network."),
    "encoded": ("Encoded", "The features tell it; that is no proof that predictions follow it."),
    "present": ("Present", "It predicts the label in the data; the network may ignore it."),
    "described": ("Described", "No claim: it shows where to look."),
}


def page(audit: Audit, title: str) -> str:
    """The HTML of an audit.

    Args:
        audit: the result of an audit.
        title: what the network is called.
    """
    subject = audit.subject
    by_level = {level: _sorted([one for one in audit.findings if one.level == level]) for level in LEVELS}
    facts = f"{len(subject)} images of {subject.n_patients} patients · {int(subject.has_mask.sum())} with mask · "
    facts += f"attributes: {', '.join(sorted(subject.attributes)) or 'none'}"
    sections = [
        f"<header><h1>{escape(_summary(audit))}</h1><p class='facts'>{escape(title)} · {escape(facts)}</p></header>",
        *(f"<p class='note'>{escape(note)}</p>" for note in audit.notes),
        *(_section(level, found) for level, found in by_level.items() if found),
        _not_checked(audit),
        _table(audit.findings),
        _methods(audit),
    ]
    return (
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Audit of {escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{_STYLE}</style></head>"
        f"<body class='{'alarm' if audit.exit_code else 'calm'}'><main>{''.join(sections)}</main></body></html>\n"
    )


def _summary(audit: Audit) -> str:
    used = [one for one in audit.findings if one.level == "used"]
    found = [one for one in used if one.verdict == "found"]
    if found:
        return f"This network uses a shortcut: {', '.join(dict.fromkeys(one.tested for one in found))}"
    open_ = [one for one in used if one.verdict == "too little data"]
    if open_:
        return "No shortcut was found, but there is too little data to exclude one"
    return "No shortcut was found" if used else "Nothing could be tested for a shortcut"


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    """What was found first, and of that what can be seen."""
    order = list(_MARK)
    return sorted(findings, key=lambda one: (order.index(one.verdict), not one.evidence, -(one.effect or 0)))


def _section(level: str, findings: Sequence[Finding]) -> str:
    name, meaning = _LEVEL[level]
    cards = "".join(_card(one) for one in findings)
    body = f"<div class='cards'>{cards}</div>"
    heading = f"<h2>{name}</h2><p class='meaning'>{meaning}</p>"
    if level == "described":
        return f"<section><details><summary>{heading}</summary>{body}</details></section>"
    return f"<section>{heading}{body}</section>"


def _card(finding: Finding) -> str:
    kind = finding.verdict.replace(" ", "-")
    p = "" if finding.adjusted_p is None else f" <span class='p'>{_p(finding.adjusted_p)}</span>"
    do = what_to_do(finding)
    return (
        f"<article class='{finding.level} {kind}{' pictured' if finding.evidence else ''}'>"
        f"<h3><span class='mark'>{_MARK[finding.verdict]}</span>{escape(headline(finding))}</h3>"
        f"<p>{escape(sentence(finding))}{p}</p>{_interval(finding)}"
        + (f"<p class='do'>{escape(do)}</p>" if do else "")
        + (f"<p class='meaning'>{escape(finding.note)}</p>" if finding.note else "")
        + _pictures(finding.evidence)
        + _details(finding)
        + "</article>"
    )


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _interval(finding: Finding) -> str:
    """Effect, interval and δ on a line, as a drawing."""
    if finding.effect is None or finding.low is None or finding.high is None or finding.level == "described":
        return ""
    left = min(-finding.delta, finding.low, -0.06 * finding.high) * 1.15
    right = max(3 * finding.delta, finding.high) * 1.1

    def x(value: float) -> float:
        return round(8 + 304 * (value - left) / (right - left), 1)

    zero, delta = x(0.0), x(finding.delta)
    return (
        f"<svg viewBox='0 0 320 40' role='img' aria-label='{escape(sentence(finding), quote=True)}'>"
        f"<rect class='small' x='{x(left)}' y='4' width='{delta - x(left):.1f}' height='18'/>"
        f"<line class='zero' x1='{zero}' x2='{zero}' y1='2' y2='24'/>"
        f"<line class='bar' x1='{x(finding.low)}' x2='{x(finding.high)}' y1='13' y2='13'/>"
        f"<circle class='dot' cx='{x(finding.effect)}' cy='13' r='4.5'/>"
        f"<text x='{zero - 3}' y='36' text-anchor='end'>{'0.5' if finding.unit == 'AUC' else '0'}</text>"
        f"<text x='{delta + 2}' y='36'>δ = {escape(amount(finding.delta, finding.unit))}</text></svg>"
    )


def _pictures(evidence: Sequence[Evidence]) -> str:
    if not evidence:
        return ""
    pairs = "".join(
        f"<figure><div><img src='{one.before}' alt='before'><img src='{one.after}' alt='after'></div>"
        f"<figcaption>{escape(one.caption)}</figcaption></figure>"
        for one in evidence
    )
    return f"<div class='pictures'>{pairs}</div>"


def _details(finding: Finding) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(_plain(value))}</td></tr>"
        for name, value in finding.details.items()
        if name != "boxes"
    )
    return f"<details><summary>numbers</summary><table>{rows}</table></details>" if rows else ""


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "; ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)


def _not_checked(audit: Audit) -> str:
    if not audit.not_checked:
        return ""
    rows = "".join(f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in audit.not_checked.items())
    return f"<section><h2>Not checked</h2><ul>{rows}</ul></section>"


def _table(findings: Iterable[Finding]) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("check", "tested", "verdict", "effect", "interval", "δ", "p", "patients")
    )
    rows = []
    for one in findings:
        end = ["" if value is None else amount(value, one.unit) for value in (one.effect, one.low, one.high)]
        cells = [one.check, one.tested, one.verdict, end[0], f"{end[1]} to {end[2]}" if end[1] else ""]
        cells += ["" if one.level == "described" else amount(one.delta, one.unit)]
        cells += ["" if one.adjusted_p is None else _p(one.adjusted_p).removeprefix("p ").removeprefix("= ")]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in [*cells, str(one.patients)]) + "</tr>")
    return (
        "<section><h2>All findings</h2><div class='wide'><table class='all'>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _methods(audit: Audit) -> str:
    return (
        "<section class='methods'><h2>How to read it</h2><p>Parts of an image are exchanged for those of an image of "
        "the same class and of one of another class. What pasting does to an image is the same in both and cancels in "
        "the difference; what is left is that the network reads the class in that part. Dots are effects, bars 95 % "
        "intervals over patients, and the grey field what is too small to matter (δ). "
        f"Found: p, adjusted by Holm's method over all findings of the level, is at most {audit.alpha:g}, and the "
        "effect is δ or more. Not found: the interval ends below δ. Images are shown before and after the exchange "
        "with another class. A shortcut that is in every image, inside the region of interest, or in no attribute is "
        "not found.</p>"
        "<p>Research software, not for clinical use.</p></section>"
    )
