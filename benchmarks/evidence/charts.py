# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The figures of a testbed, from the lines of its results."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from benchmarks.evidence.testbed import Rows, Testbed, groups, values
from benchmarks.tables import paired

COLORS = ("tab:blue", "tab:orange", "tab:red", "tab:brown", "tab:green", "tab:purple", "tab:cyan")


def draw(testbed: Testbed, rows: Rows) -> Figure:
    """Draw robustness next to faithfulness, if both are measured.

    A dot is a run at full strength, of a main method; of any, where none of these was run.
    """
    strength = max({row["strength"] for row in rows}, key=float)
    there = [name for other, name in groups(testbed, rows) if other == strength]
    methods = ([name for name in there if name in testbed.main] or there)[::-1]
    kinds = [(testbed.measure, testbed.splits)] + [("%", testbed.axes)] * bool(testbed.axes)
    names = [testbed.methods[method].title for method in methods]
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


def draw_strengths(testbed: Testbed, rows: Rows) -> Figure:
    """Draw the last split by the strength of the bias or noise: mean and sd, and the difference from plain training."""
    column, title = list(testbed.splits.items())[-1]
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    levels, gains = figure.subplots(1, 2)
    several = [name for name in testbed.methods if len({row["strength"] for row in rows if row["method"] == name}) > 1]
    apart = 0.01 * np.ptp([float(row["strength"]) for row in rows])  # or many intervals would lie on one another
    for n, method in enumerate(several):
        style = {"color": f"C{n % 10}", "fmt": "o-" if n < 10 else "o--", "ms": 4, "lw": 1.2, "capsize": 2}
        strengths = sorted({row["strength"] for row in rows if row["method"] == method}, key=float)
        places = np.array([float(strength) for strength in strengths]) + apart * (n - len(several) / 2)
        found = [values(rows, method, strength, column) for strength in strengths]
        runs = [100 * np.array(list(one.values())) for one in found]
        sd = [one.std(ddof=1) if len(one) > 1 else 0 for one in runs]
        levels.errorbar(places, [one.mean() for one in runs], sd, label=testbed.methods[method].title, **style)
        above = [
            paired(one, values(rows, "plain", strength, column)) for one, strength in zip(found, strengths, strict=True)
        ]
        known = [k for k, difference in enumerate(above) if difference is not None and method != "plain"]
        if known:
            mean, low, high = 100 * np.array([above[k] for k in known]).T
            gains.errorbar(places[known], mean, [mean - low, high - mean], **style)
    levels.set_ylabel(f"{title}: {testbed.measure}")
    gains.set_ylabel("points above plain, paired by seed, 95 % interval")
    gains.axhline(0, color="0.5", lw=0.8)
    for axes in (levels, gains):
        axes.set_xticks(sorted({float(row["strength"]) for row in rows}))
        axes.set_xlabel(testbed.strength)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right center", fontsize=8)
    return figure
