# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Conclusions from the runs of a testbed with a shortcut: whether it counts, and by which rule to choose a network."""

from __future__ import annotations

from scipy.stats import spearmanr

from benchmarks.evidence.testbed import Rows, Testbed, groups, values
from benchmarks.evidence.training import AXES, RULES, prefix
from benchmarks.tables import interval, markdown, paired, spread

TITLES = {
    "accuracy": "accuracy",
    "consistency": "accuracy and swap consistency",
    "attention": "accuracy and attention",
}


def remarks(testbed: Testbed, rows: Rows) -> str:
    """All that the runs say."""
    return f"{diagnosis(testbed, rows)}\n\n{selection(testbed, rows)}\n\n{ranking(testbed, rows)}"


def diagnosis(testbed: Testbed, rows: Rows) -> str:
    """Whether the plain network is a shortcut learner in every run, without which a strength says nothing."""
    biased, *_, shifted = testbed.splits
    lines = []
    for strength in sorted({row["strength"] for row in rows if row["method"] == "plain"}, key=float, reverse=True):
        same, other = (values(rows, "plain", strength, split) for split in (biased, shifted))
        outside, pointing = (
            values(rows, "plain", strength, axis) for axis in ("background_relevance", "pointing_game")
        )
        broken = [same[s] > 0.9 and same[s] - other[s] > testbed.gap and pointing[s] < 0.5 for s in same]
        lines.append(
            f"- Strength {float(strength):g}: the plain network is a shortcut learner in {sum(broken)} of "
            f"{len(broken)} runs (above 90 % on the split “{testbed.splits[biased]}”, more than "
            f"{100 * testbed.gap:.0f} points less on “{testbed.splits[shifted]}”, and the maximum of its relevance "
            f"outside the mask in most images). It has {spread(outside.values())} % of its relevance outside the mask, "
            f"and the maximum inside in {spread(pointing.values())} % of the images; this strength "
            f"{'counts' if all(broken) else 'does not count'}."
        )
    return "\n".join(lines)


def selection(testbed: Testbed, rows: Rows) -> str:
    """Markdown: accuracy on the shifted split by the rule that chose the epoch, on in-distribution data."""
    *_, shifted = testbed.splits
    title = f"Accuracy on “{testbed.splits[shifted]}” if the epoch is chosen by … on in-distribution validation data:"
    lines = []
    for strength, method in groups(testbed, rows):
        found = [values(rows, method, strength, f"{prefix(rule)}{shifted}") for rule in RULES]
        cells = [spread(one.values(), min) for one in found]
        lines.append([f"{float(strength):g}", testbed.title(method), *cells])
    return f"{title}\n\n{markdown(['strength', 'method', *TITLES.values()], lines, texts=2)}"


def above_plain(testbed: Testbed, rows: Rows, column: str) -> str:
    """Markdown: by how much each method is above the plain network on a split that is not the last one."""
    lines = []
    for strength, method in groups(testbed, rows):
        difference = paired(*(values(rows, name, strength, column) for name in (method, "plain")))
        if method != "plain" and difference is not None:
            lines.append([f"{float(strength):g}", testbed.title(method), interval(difference)])
    return markdown(["strength", "method", testbed.splits[column]], lines, texts=2)


def ranking(testbed: Testbed, rows: Rows) -> str:
    """Markdown: how well in-distribution validation data rank the trained networks by their shifted accuracy."""
    shifted = testbed.splits[list(testbed.splits)[-1]]
    title = f"Rank correlation (Spearman) with the accuracy on “{shifted}”, over all runs of a strength:"
    return f"{title}\n\n{ranking_table(testbed, rows)}"


def ranking_table(testbed: Testbed, rows: Rows) -> str:
    """The table alone."""
    *_, shifted = testbed.splits
    lines = []
    for strength in sorted({row["strength"] for row in rows}, key=float, reverse=True):
        runs = [row for row in rows if row["strength"] == strength and row["method"] != "unbiased"]
        found = [float(row[shifted]) for row in runs]
        if len(set(found)) < 3:
            continue
        measured = [{key: float(row[f"validation_{key}"]) for key in ("accuracy", *AXES)} for row in runs]
        scores = [[rule(m) for m in measured] for rule in RULES.values()]
        told = [f"{spearmanr(score, found).statistic:.2f}" if len(set(score)) > 1 else "all equal" for score in scores]
        lines.append([f"{float(strength):g}", str(len(runs)), *told])
    return markdown(["strength", "runs", *TITLES.values()], lines)
