# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Lines, tables and the figure of the runs of mixup_clusters.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.methods import METHODS
from benchmarks.tables import markdown, spread
from monai_debias.visualize import distribution_shift

LAYERS = ("stage1", "stage2", "stage3")
DRAWN = 50  # iterations in the figure
TITLES = {"none": "no mixing", "manifold_hidden": "Manifold Mixup, not of images"}
TITLES |= {name: METHODS[name].title for name in ("mixup", "manifold_mixup", "flow_mixup")}


def line(method: str, seed: int, result: dict[str, Any]) -> dict[str, Any]:
    """A line of the CSV: the accuracy, and means of R² in the second half of the training, and its steps."""
    row = {"method": method, "seed": seed, "accuracy": result["accuracy"]}
    row |= {f"plain_{layer}": late(result["plain"][layer]) for layer in LAYERS}
    row |= {f"as_trained_{layer}": late(result["as_trained"][layer]) for layer in LAYERS}
    row |= {f"step_{layer}": step(result["as_trained"][layer]) for layer in LAYERS}
    return {**row, "seconds": result["seconds"]}


def tables(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: mean and standard deviation over the seeds, of the trained network and of the training itself."""
    plain, as_trained = [], []
    for method in dict.fromkeys(row["method"] for row in rows):
        runs = [row for row in rows if row["method"] == method]

        def over_seeds(column: str, runs: Sequence[Mapping[str, Any]] = runs, digits: int = 3) -> str:
            return spread([float(row[column]) for row in runs], factor=1, digits=digits)

        accuracy = spread([float(row["accuracy"]) for row in runs], min)
        plain.append([TITLES[method], accuracy, *(over_seeds(f"plain_{layer}") for layer in LAYERS)])
        means = [over_seeds(f"as_trained_{layer}") for layer in LAYERS]
        steps = [over_seeds(f"step_{layer}") for layer in LAYERS]
        as_trained.append([TITLES[method], *means, *steps])
    made = ["method", "test accuracy, %", *(f"plain R², {layer}" for layer in LAYERS)]
    was = ["method", *(f"R² as trained, {layer}" for layer in LAYERS), *(f"step, {layer}" for layer in LAYERS)]
    return f"{markdown(made, plain)}\n\n{markdown(was, as_trained)}"


def quoted(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table that docs/mixup.md quotes."""
    columns = {
        "plain_stage3": "plain R², stage 3",
        "as_trained_stage3": "R² as trained, stage 3",
        "step_stage2": "step, stage 2",
        "step_stage3": "step, stage 3",
    }
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        runs = [row for row in rows if row["method"] == method]
        cells = [spread([float(run[column]) for run in runs], factor=1, digits=3) for column in columns]
        lines.append([TITLES[method], spread([float(run["accuracy"]) for run in runs], min), *cells])
    return markdown(["method", "test accuracy, %", *columns.values()], lines)


def table_of_draws(runs: list[dict], title: str) -> str:
    """Markdown: R² as trained in the second half of the training, for each state that was drawn."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in runs:
        for n in range(len(one["drawn"]) // 2, len(one["drawn"])):
            of_state = found.setdefault(one["drawn"][n][0][0], {layer: [] for layer in LAYERS})
            for layer in LAYERS:
                of_state[layer].append(one["as_trained"][layer][n])
    rows = [
        [state, *(spread(values, factor=1, digits=3) for values in of.values())] for state, of in sorted(found.items())
    ]
    return markdown([f"{title}: drawn", *(f"R² as trained, {layer}" for layer in LAYERS)], rows)


def draw_end(results: dict[str, list[dict]], title: str) -> Figure:
    """R² as trained at the end of the first seed's training: a mean over seeds would even out the steps."""
    firsts = {TITLES[method]: runs[0]["as_trained"] for method, runs in results.items()}
    ends = {method: {layer: r2[layer][-DRAWN:] for layer in LAYERS} for method, r2 in firsts.items()}
    last = len(next(iter(firsts.values()))[LAYERS[0]])
    return distribution_shift(ends, np.arange(max(1, last - DRAWN + 1), last + 1), title)


def late(values: list[float]) -> float:
    """Mean over the second half."""
    return float(np.mean(values[len(values) // 2 :]))


def step(values: list[float]) -> float:
    """Mean absolute change from one iteration to the next."""
    return float(np.abs(np.diff(values)).mean())
