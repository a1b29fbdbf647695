# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The table and the figure of a testbed, from the lines of its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evidence_methods import METHODS
from matplotlib.figure import Figure

from monai_debias.metrics import paired_difference

__all__ = ["MAIN", "report"]

MAIN = (
    "plain",
    "unbiased",
    "backmix",
    "wbackmix",
    "isnet",
    "spectral_decoupling",
    "mixup",
    "manifold_mixup",
    "flow_mixup",
    "backmix_isnet",
)
AXES = {
    "background_relevance": "background relevance",
    "pointing_game": "pointing game",
    "swap_consistency": "swap consistency",
}


def report(testbed: Any, rows: Sequence[dict[str, str]], stem: Path) -> str:
    """Write the Markdown page and the figure beside the CSV, and return the page."""
    text = f"{table(testbed, rows)}\n\n{diagnosis(rows)}\n\n{selection(testbed, rows)}\n"
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(testbed, rows).savefig(stem.with_suffix(".png"), dpi=110)
    return text


def values(rows: Sequence[dict[str, str]], method: str, bias: str, column: str) -> np.ndarray:
    """Of one method at one bias, by seed."""
    chosen = [row for row in rows if row["method"] == method and row["bias"] == bias]
    return np.array([float(row[column]) for row in sorted(chosen, key=lambda row: int(row["seed"]))])


def groups(rows: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """The pairs (bias, method) that there are, strongest bias first, methods in their own order."""
    there = {(row["bias"], row["method"]) for row in rows}
    return sorted(there, key=lambda pair: (-float(pair[0]), list(METHODS).index(pair[1])))


def spread(found: np.ndarray) -> str:
    sd = f" ± {100 * found.std(ddof=1):.1f}" if len(found) > 1 else ""
    return f"{100 * found.mean():.1f}{sd}"


def table(testbed: Any, rows: Sequence[dict[str, str]]) -> str:
    """Markdown: both axes of every method, in percent, mean ± standard deviation over the seeds."""
    head = ["bias", "method", "settings", "n", *testbed.SPLITS.values(), *AXES.values(), "deceiving: more than plain"]
    lines = ["| " + " | ".join([*head, "time"]) + " |", "|---|---|---|" + "---:|" * (len(head) - 2)]
    for bias, method in groups(rows):
        columns = [values(rows, method, bias, column) for column in (*testbed.SPLITS, *AXES)]
        plain, seconds = (values(rows, "plain", bias, column) for column in ("deceiving", "seconds"))
        n, cells = min(len(plain), len(columns[0])), [spread(column) for column in columns]
        more = ""
        if method != "plain" and n > 1:
            mean, low, high = paired_difference(columns[2][:n], plain[:n])
            more = f"{100 * mean:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        took = values(rows, method, bias, "seconds")[: len(seconds)].mean() / seconds[:n].mean() if n else np.nan
        cells = [f"{float(bias):g}", METHODS[method].title, METHODS[method].settings, str(len(columns[0])), *cells]
        lines.append("| " + " | ".join([*cells, more, f"{took:.2f}"]) + " |")
    return "\n".join(lines)


def diagnosis(rows: Sequence[dict[str, str]]) -> str:
    """Whether the plain network is a shortcut learner in every run, without which the testbed says nothing."""
    lines = []
    for bias in sorted({row["bias"] for row in rows}, key=float, reverse=True):
        same, deceiving, outside = (
            values(rows, "plain", bias, column) for column in ("same", "deceiving", "background_relevance")
        )
        if not len(same):
            continue
        broken = (same > 0.9) & (same - deceiving > 0.3)
        verdict = "counts" if broken.all() else "does not count"
        lines.append(
            f"- Bias {float(bias):g}: the plain network is a shortcut learner in {broken.sum()} of {len(same)} runs "
            "(above 90 % on the same bias, more than 30 points less on deceiving marks), and has "
            f"{spread(outside)} % of its relevance in the background; the testbed {verdict}."
        )
    return "\n".join(lines)


def selection(testbed: Any, rows: Sequence[dict[str, str]]) -> str:
    """Markdown: accuracy on the deceiving split by the rule that chose the epoch, on in-distribution data."""
    lines = [
        "| bias | method | by accuracy | by accuracy and swaps | by accuracy and attention |",
        "|---|---|---:|---:|---:|",
    ]
    for bias, method in groups(rows):
        columns = ("deceiving", "consistency_rule_deceiving", "attention_rule_deceiving")
        cells = [spread(values(rows, method, bias, column)) for column in columns]
        lines.append("| " + " | ".join([f"{float(bias):g}", METHODS[method].title, *cells]) + " |")
    return "\n".join(lines)


def draw(testbed: Any, rows: Sequence[dict[str, str]]) -> Figure:
    """Robustness against faithfulness: a dot is a run, at the strongest bias that there is."""
    bias = max({row["bias"] for row in rows}, key=float)
    methods = [method for other, method in groups(rows) if other == bias]
    figure = Figure(figsize=(10, 0.5 + 0.42 * len(methods)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    panels = (
        (left, testbed.SPLITS, ("tab:blue", "tab:orange", "tab:red")),
        (right, AXES, ("tab:brown", "tab:green", "tab:purple")),
    )
    for axes, columns, colors in panels:
        for (column, title), color in zip(columns.items(), colors, strict=True):
            found = [100 * values(rows, method, bias, column) for method in reversed(methods)]
            heights = np.repeat(np.arange(len(methods)), [len(runs) for runs in found])
            axes.plot(np.concatenate(found), heights, "o", ms=5, alpha=0.6, color=color, label=title)
    left.set_yticks(range(len(methods)), [METHODS[method].title for method in reversed(methods)])
    for axes, label in ((left, "accuracy on the test split, %"), (right, "%")):
        axes.set_xlabel(label)
        axes.set_xlim(-3, 103)
        axes.grid(axis="y", lw=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9)
    return figure
