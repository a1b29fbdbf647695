# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The page of a testbed, from the lines of its results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.evidence.charts import draw, draw_strengths
from benchmarks.evidence.testbed import LESS_IS_BETTER, Rows, Testbed, groups, values
from benchmarks.tables import interval, markdown, paired, spread

LEFT_OUT = ("gap", "pointing_game")  # of the short table


def report(testbed: Testbed, rows: Rows, stem: Path) -> str:
    """Write the Markdown page and the figures beside the CSV, and return the page."""
    parts = [summary(testbed, rows), testbed.remarks(rows), table(testbed, rows), origin(testbed, rows)]
    text = "\n\n".join(parts) + "\n"
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(testbed, rows).savefig(stem.with_suffix(".png"), dpi=110)
    if len({row["strength"] for row in rows}) > 1:
        draw_strengths(testbed, rows).savefig(stem.with_name(f"{stem.name}_strengths.png"), dpi=110)
    return text


def summary(testbed: Testbed, rows: Rows) -> str:
    """Markdown: the main methods in percent at the greatest strength, and their time in trainings of the plain one."""
    strength = max({row["strength"] for row in rows}, key=float)
    measured = {column: title for column, title in testbed.columns().items() if column not in LEFT_OUT}
    lines = []
    for other, method in groups(testbed, rows):
        if other == strength and method in testbed.main:
            n = len(values(rows, method, strength, "seconds"))
            cells = [cell(rows, method, strength, column) for column in measured]
            lines.append([testbed.methods[method].title, str(n), *cells, time(rows, method, strength)])
    return markdown(["method", "n", *measured.values(), "time"], lines)


def table(testbed: Testbed, rows: Rows) -> str:
    """Markdown: every method in percent, and paired by seed how far it is above the plain network on the last split."""
    shifted, measured = list(testbed.splits)[-1], testbed.columns()
    head = ["strength", "method", "settings", "n", *measured.values(), "above plain on the last split [95 %]", "time"]
    lines = []
    for strength, method in groups(testbed, rows):
        own, plain = (values(rows, name, strength, shifted) for name in (method, "plain"))
        difference = None if method == "plain" else paired(own, plain)
        is_what = testbed.methods[method]
        cells = [f"{float(strength):g}", is_what.title, is_what.settings, str(len(own))]
        cells += [cell(rows, method, strength, column) for column in measured]
        lines.append([*cells, interval(difference) if difference else "", time(rows, method, strength)])
    return markdown(head, lines, texts=3)


def by_strength(testbed: Testbed, rows: Rows) -> str:
    """Markdown: the main methods on the last split at every strength, in percent."""
    shifted = list(testbed.splits)[-1]
    strengths = sorted({row["strength"] for row in rows}, key=float)
    lines = [
        [testbed.methods[method].title, *(cell(rows, method, strength, shifted) for strength in strengths)]
        for method in testbed.main
        if any(row["method"] == method for row in rows)
    ]
    return markdown(["method", *(f"{float(strength):g}" for strength in strengths)], lines)


def cell(rows: Rows, method: str, strength: str, column: str) -> str:
    """Mean, standard deviation and worst seed, in percent; nothing if there is no run."""
    worst = max if column in LESS_IS_BETTER else min
    numbers = values(rows, method, strength, column).values()
    return spread(numbers, worst) if numbers else ""


def time(rows: Rows, method: str, strength: str) -> str:
    """Processor time of the training, relative to that of the plain network with the same seeds.

    Only times of the same processor and versions are compared; without such there is nothing.
    """
    own, plain = (
        {
            (row["seed"], row["processor"], row["versions"]): float(row["seconds"])
            for row in rows
            if _is(row, name, strength)
        }
        for name in (method, "plain")
    )
    both = own.keys() & plain.keys()
    return f"{sum(own[run] for run in both) / sum(plain[run] for run in both):.2f}" if both else ""


def _is(row: dict[str, str], method: str, strength: str) -> bool:
    return row["method"] == method and row["strength"] == strength


def origin(testbed: Testbed, rows: Rows) -> str:
    """Which commits, processors and versions made the results, and how long each part took."""
    parts: dict[str, list[float]] = {}
    for strength, method in groups(testbed, rows):
        kind = "the main methods" if method in testbed.main else "variants"
        parts.setdefault(f"{kind} at strength {float(strength):g}", []).extend(
            values(rows, method, strength, "run_seconds").values()
        )
    lines = [[part, str(len(seconds)), f"{sum(seconds) / 3600:.1f}"] for part, seconds in parts.items()]
    lines.append(["all", str(len(rows)), f"{sum(map(sum, parts.values())) / 3600:.1f}"])
    of = {key: "; ".join(dict.fromkeys(row[key] for row in rows)) for key in ("commit", "processor", "versions")}
    what = (
        "Mean ± standard deviation over n seeds, in brackets the worst of them; time is that of the training relative "
        "to the plain one on the same processor. Hours of one core, with all validation and tests.\n"
        f"Commit: {of['commit']}. Processor: {of['processor']}. Versions: {of['versions']}."
    )
    return f"{what}\n\n{markdown(['part', 'runs', 'hours'], lines)}"
