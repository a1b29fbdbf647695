# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How well a classifier recognises each finding or class, with intervals, in all splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_debias.constraints import ANY, STRING, MappingOf, SequenceOf
from monai_debias.parameters import expects

__all__ = ["label_metrics"]


@expects(results=MappingOf(MappingOf(ANY), key=STRING, least=1), metrics=SequenceOf(STRING, least=1))
def label_metrics(
    results: Mapping[str, Mapping[str, Any]], metrics: Sequence[str] = ("roc_auc", "average_precision", "f1")
) -> Figure:
    """Draw metrics of each label: a panel for each metric, a line for each label, a colour for each split.

    A dot is the value, the bar its interval; in place of an undefined value stands the word "undefined".

    Args:
        results: content of the ``metrics.json`` of ``ClassificationReport``; its splits have the same labels.
        metrics: names of metrics of its labels, with values in [0, 1].

    Returns:
        A figure; nothing is shown or saved.

    Raises:
        ValueError: when the splits do not have the same labels, or one lacks a metric.

    Example:
        >>> labels = {"cyst": {"metrics": {"roc_auc": [0.9, 0.8, 0.95]}}, "stone": {"metrics": {"roc_auc": [None] * 3}}}
        >>> figure = label_metrics({"test": {"labels": labels}}, ["roc_auc"])
        >>> figure.savefig("/dev/null", format="png")
    """
    names = {tuple(result.get("labels", ())) for result in results.values()}
    if len(names) != 1 or not min(names):
        raise ValueError(f"expected splits that all have the same labels, got {sorted(names)}.")
    labels = names.pop()
    for split, result in results.items():
        missing = sorted({m for m in metrics for name in labels if m not in result["labels"][name]["metrics"]})
        if missing:
            raise ValueError(f"the labels of the split {split!r} have no {', '.join(missing)}; choose other metrics.")
    lines = len(labels) * len(results)
    figure = Figure(figsize=(1.6 + 2.6 * len(metrics), 1.3 + 0.2 * lines + 0.1 * len(labels)), layout="constrained")
    for panel, metric in zip(figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0], metrics, strict=True):
        for place, (split, result) in enumerate(results.items()):
            at = np.arange(len(labels)) + 0.7 * ((place + 0.5) / len(results) - 0.5)
            numbers = [result["labels"][name]["metrics"][metric] for name in labels]
            _points(panel, at.tolist(), numbers, split.replace("_", " "), f"C{place}")
        title = metric.replace("_", " ").replace("roc auc", "ROC AUC").replace("f1", "F1")
        panel.set(xlim=(-0.02, 1.02), xlabel=title, yticks=range(len(labels)), yticklabels=labels)
        panel.grid(axis="x", lw=0.5)
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylim(len(labels) - 0.4, -0.6)  # the first label at the top
    handles, _ = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _points(
    panel: Axes, at: Sequence[float], numbers: Sequence[Sequence[float | None]], split: str, colour: str
) -> None:
    panel.plot([], [], "o-", ms=4, color=colour, label=split)
    for y, (value, low, high) in zip(at, numbers, strict=True):
        if value is None:
            panel.text(0.0, y, "undefined", color=colour, fontsize=7, va="center")
            continue
        panel.plot(value, y, "o", ms=4, color=colour)
        if low is not None and high is not None:
            panel.plot([low, high], [y, y], color=colour, lw=1.5)
