# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How methods fare on each split, beside what the transform did to the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from monai_debias.parameters import ANY, NONE, NUMBERS, STRING, MappingOf, Number, SequenceOf, expects

__all__ = ["method_comparison"]


@expects(
    results=MappingOf(SequenceOf(MappingOf(MappingOf(ANY), key=STRING), least=1), key=STRING, least=1),
    examples=SequenceOf(SequenceOf(NUMBERS, length=3)),
    metric=STRING,
    chance=NONE | Number("[0, 1]"),
)
def method_comparison(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    examples: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]] = (),
    metric: str = "accuracy",
    chance: float | None = None,
) -> Figure:
    """Draw a metric by split and method, and examples of images before and after a transform.

    With one run per method the error bars are that run's bootstrap interval; with several runs a bar is their mean, its
    error bar their standard deviation, and each run is a dot.

    Args:
        results: ``{method: runs}``; a run is the content of the ``metrics.json`` of ``ClassificationReport``.
        examples: triples (before, mask, after) of shape (H, W) with values in [0, 1] and binary masks.
        metric: name of the metric, with values in [0, 1].
        chance: value of a classifier that guesses, drawn as a line.

    Returns:
        The figure; nothing is shown or saved.

    Raises:
        ValueError: when there is no run, or the runs do not have the same splits.

    Example:
        >>> run = {"test": {"metrics": {"accuracy": [0.9, 0.85, 0.95]}}}
        >>> figure = method_comparison({"baseline": [run], "BackMix": [run]}, chance=0.25)
        >>> figure.savefig("/dev/null", format="png")
    """
    splits = {tuple(run) for runs in results.values() for run in runs}
    if len(splits) != 1:
        raise ValueError(f"expected runs that all have the same splits, got {sorted(splits)}.")
    for method, runs in results.items():
        if not all(metric in split.get("metrics", {}) for run in runs for split in run.values()):
            raise ValueError(f"a run of {method!r} has a split without the metric {metric!r}.")
    figure = Figure(figsize=(6.4 + 4.4 * bool(examples), 4.2), layout="constrained")
    panels = figure.subfigures(1, 1 + bool(examples), squeeze=False, width_ratios=[6.4, 4.4][: 1 + bool(examples)])[0]
    _bars(panels[0].subplots(), results, next(iter(splits)), metric, chance)
    if examples:
        _examples(panels[1], examples)
    return figure


def _bars(
    axes: Axes,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    splits: Sequence[str],
    metric: str,
    chance: float | None,
) -> None:
    width = 0.8 / len(results)
    for m, (method, runs) in enumerate(results.items()):
        at = np.arange(len(splits)) + (m - (len(results) - 1) / 2) * width
        values = np.array([[run[split]["metrics"][metric] for split in splits] for run in runs])  # (runs, splits, 3)
        mean = values[..., 0].mean(0)
        single = len(runs) == 1
        error = np.abs(values[0, :, 1:].T - mean) if single else np.tile(values[..., 0].std(0, ddof=1), (2, 1))
        axes.bar(at, mean, width * 0.92, yerr=error, capsize=3, label=method, error_kw={"lw": 1})
        if not single:
            axes.plot(np.tile(at, len(runs)), values[..., 0].ravel(), ".", color="black", ms=4, alpha=0.6)
        for x, value, high in zip(at, mean, mean + error[1], strict=True):
            axes.text(x, high + 0.015, f"{100 * value:.1f}", ha="center", fontsize=8)
    if chance is not None:
        axes.axhline(chance, color="grey", lw=1, ls=":", zorder=0)
        axes.text(len(splits) - 0.45, chance + 0.01, "chance", color="grey", fontsize=8, ha="right")
    axes.set_xticks(range(len(splits)), [split.replace("_", " ") for split in splits])
    axes.set_ylim(0, 1.12)
    axes.set_ylabel(metric.replace("_", " "))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=min(len(results), 4), loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _examples(panel: Any, examples: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]]) -> None:
    grid = panel.subplots(len(examples), 2, squeeze=False)
    for row, (before, mask, after) in zip(grid, examples, strict=True):
        for axes, image in zip(row, (before, after), strict=True):
            axes.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=1)
            axes.contour(np.asarray(mask), levels=[0.5], colors=["tab:orange"], linewidths=0.8)
            axes.set_axis_off()
    grid[0, 0].set_title("training image, sector", fontsize=9)
    grid[0, 1].set_title("after BackMix", fontsize=9)
