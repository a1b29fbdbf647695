# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The table and the figure of a testbed, from the lines of its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from monai_debias.metrics import paired_difference
from monai_debias.metrics.groups import PairedDifference

__all__ = ["groups", "interval", "markdown", "named", "paired", "report", "spread", "summary", "values"]

Rows = Sequence[dict[str, str]]
COLORS = ("tab:blue", "tab:orange", "tab:red", "tab:brown", "tab:green", "tab:purple")


def report(testbed: Any, rows: Rows, stem: Path) -> str:
    """Write the Markdown page and the figures beside the CSV, and return the page."""
    parts = [summary(testbed, rows), testbed.remarks(rows), table(testbed, rows), origin(testbed, rows)]
    text = "\n\n".join(parts) + "\n"
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(testbed, rows).savefig(stem.with_suffix(".png"), dpi=110)
    if len({row["strength"] for row in rows}) > 1:
        draw_strengths(testbed, rows).savefig(stem.with_name(f"{stem.name}_strengths.png"), dpi=110)
    return text


def origin(testbed: Any, rows: Rows) -> str:
    """Which commits made the results, and how long each part took."""
    parts: dict[str, list[float]] = {}
    for strength, method in groups(testbed, rows):
        kind = "the main methods" if method in testbed.MAIN else "variants"
        parts.setdefault(f"{kind} at strength {float(strength):g}", []).extend(
            values(rows, method, strength, "run_seconds").values()
        )
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows))
    lines = [[part, str(len(seconds)), f"{sum(seconds) / 3600:.1f}"] for part, seconds in parts.items()]
    total = sum(map(sum, parts.values())) / 3600
    lines.append(["all", str(len(rows)), f"{total:.1f}"])
    what = f"Hours of one core, with all validation and tests. Made at commit {commits}."
    return f"{what}\n\n{markdown(['part', 'runs', 'hours'], lines, texts=1)}"


def values(rows: Rows, method: str, strength: str, column: str) -> dict[int, float]:
    """Of one method at one strength, by seed."""
    chosen = [row for row in rows if row["method"] == method and row["strength"] == strength]
    return {int(row["seed"]): float(row[column]) for row in chosen}


def groups(testbed: Any, rows: Rows) -> list[tuple[str, str]]:
    """The pairs (strength, method) that there are, strongest first, methods in their own order."""
    there, order = {(row["strength"], row["method"]) for row in rows}, list(testbed.METHODS)
    return sorted(there, key=lambda pair: (-float(pair[0]), order.index(pair[1])))


def named(testbed: Any, method: str) -> str:
    """The title of a method, which variants share, and for these the name by which they are asked for."""
    title = testbed.METHODS[method].title
    return title if method in testbed.MAIN else f"{title} (`{method}`)"


def spread(found: dict[int, float]) -> str:
    """Mean and standard deviation over the seeds, in percent."""
    numbers = 100 * np.array(list(found.values()))
    sd = f" ± {numbers.std(ddof=1):.1f}" if len(numbers) > 1 else ""
    return f"{tenths(numbers.mean()):.1f}{sd}"


def interval(difference: PairedDifference) -> str:
    """A difference and its bounds, in points."""
    return "{:+.1f} [{:.1f}, {:.1f}]".format(*(tenths(100 * x) for x in difference))


def tenths(x: float) -> float:
    """Rounded, and never the negative zero."""
    return round(x, 1) + 0.0


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], texts: int) -> str:
    """A table whose first columns are texts, and the others numbers."""
    rule = "|" + "---|" * texts + "---:|" * (len(head) - texts)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(cells) + " |" for cells in lines)])


def columns(testbed: Any) -> dict[str, str]:
    """What a table shows: columns of the results, and their titles."""
    return {**testbed.SPLITS, **testbed.GROUPS, **testbed.AXES}


def summary(testbed: Any, rows: Rows) -> str:
    """Markdown: the main methods in percent at the greatest strength, and their time in trainings of the plain one."""
    strength = max({row["strength"] for row in rows}, key=float)
    measured = {column: title for column, title in columns(testbed).items() if column not in ("gap", "pointing_game")}
    lines = []
    for other, method in groups(testbed, rows):
        if other == strength and method in testbed.MAIN:
            found = [values(rows, method, strength, column) for column in measured]
            cells = [testbed.METHODS[method].title, str(len(found[0])), *map(spread, found)]
            lines.append([*cells, time(rows, method, strength)])
    return markdown(["method", "n", *measured.values(), "time"], lines, texts=1)


def time(rows: Rows, method: str, strength: str) -> str:
    """Processor time of the training, relative to that of the plain network with the same seeds."""
    own, plain = (values(rows, name, strength, "seconds") for name in (method, "plain"))
    both = own.keys() & plain.keys()
    return f"{sum(own[seed] for seed in both) / sum(plain[seed] for seed in both):.2f}" if both else ""


def table(testbed: Any, rows: Rows) -> str:
    """Markdown: every method in percent, and paired by seed how far it is above the plain network on the last split."""
    shifted = list(testbed.SPLITS)[-1]
    measured = columns(testbed)
    head = ["strength", "method", "settings", "n", *measured.values(), "above plain on the last split [95 %]", "time"]
    lines = []
    for strength, method in groups(testbed, rows):
        found = {column: values(rows, method, strength, column) for column in measured}
        own = found[shifted]
        difference = None if method == "plain" else paired(own, values(rows, "plain", strength, shifted))
        above = interval(difference) if difference else ""
        is_what = testbed.METHODS[method]
        cells = [f"{float(strength):g}", is_what.title, is_what.settings, str(len(own))]
        cells += [*map(spread, found.values()), above, time(rows, method, strength)]
        lines.append(cells)
    return markdown(head, lines, texts=3)


def draw(testbed: Any, rows: Rows) -> Figure:
    """Robustness beside faithfulness, where both are measured; a dot is a run of a main method at full strength."""
    strength = max({row["strength"] for row in rows}, key=float)
    methods = [name for other, name in groups(testbed, rows) if other == strength and name in testbed.MAIN][::-1]
    kinds = [(testbed.MEASURE, testbed.SPLITS)] + [("%", testbed.AXES)] * bool(testbed.AXES)
    names = [testbed.METHODS[method].title for method in methods]
    width = 0.09 * max(map(len, names)) + 4.2 * len(kinds)
    figure = Figure(figsize=(width, 1.1 + 0.36 * len(methods)), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    colors = iter(COLORS)
    for axes, (label, columns) in zip(panels, kinds, strict=True):
        for n, (column, title) in enumerate(columns.items()):
            found = [list(values(rows, method, strength, column).values()) for method in methods]
            heights = np.repeat(np.arange(len(methods)), [len(runs) for runs in found]) + 0.16 * (1 - n)  # side by side
            axes.plot(100 * np.concatenate(found), heights, "o", ms=5, alpha=0.6, color=next(colors), label=title)
        axes.set_xlabel(label)
        axes.set_xlim(-3, 103)
        axes.grid(axis="y", lw=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            frameon=False,
            ncols=3,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            fontsize=8,
            columnspacing=1,
            handletextpad=0,
        )
    panels[0].set_yticks(range(len(methods)), names)
    return figure


def draw_strengths(testbed: Any, rows: Rows) -> Figure:
    """The last split against the strength of the bias or noise: mean and sd, and how far above the plain network."""
    column, title = list(testbed.SPLITS.items())[-1]
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    levels, gains = figure.subplots(1, 2)
    several = [name for name in testbed.METHODS if len({row["strength"] for row in rows if row["method"] == name}) > 1]
    apart = 0.01 * np.ptp([float(row["strength"]) for row in rows])  # or many intervals would lie on one another
    for n, method in enumerate(several):
        style = {"color": f"C{n % 10}", "fmt": "o-" if n < 10 else "o--", "ms": 4, "lw": 1.2, "capsize": 2}
        strengths = sorted({row["strength"] for row in rows if row["method"] == method}, key=float)
        places = np.array([float(strength) for strength in strengths]) + apart * (n - len(several) / 2)
        found = [values(rows, method, strength, column) for strength in strengths]
        runs = [100 * np.array(list(one.values())) for one in found]
        sd = [one.std(ddof=1) if len(one) > 1 else 0 for one in runs]
        levels.errorbar(places, [one.mean() for one in runs], sd, label=testbed.METHODS[method].title, **style)
        above = [
            paired(one, values(rows, "plain", strength, column)) for one, strength in zip(found, strengths, strict=True)
        ]
        known = [k for k, difference in enumerate(above) if difference is not None and method != "plain"]
        if known:
            mean, low, high = 100 * np.array([above[k] for k in known]).T
            gains.errorbar(places[known], mean, [mean - low, high - mean], **style)
    levels.set_ylabel(f"{title}: {testbed.MEASURE}")
    gains.set_ylabel("points above plain, paired by seed, 95 % interval")
    gains.axhline(0, color="0.5", lw=0.8)
    for axes in (levels, gains):
        axes.set_xticks(sorted({float(row["strength"]) for row in rows}))
        axes.set_xlabel(testbed.STRENGTH)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right center", fontsize=8)
    return figure


def paired(first: dict[int, float], second: dict[int, float]) -> PairedDifference | None:
    """First minus second over the seeds that both have; None for fewer than two."""
    both = sorted(first.keys() & second.keys())
    if len(both) < 2:
        return None
    return paired_difference([first[seed] for seed in both], [second[seed] for seed in both])
