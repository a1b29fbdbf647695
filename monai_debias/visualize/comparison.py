# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The metrics of several methods on each split, next to examples of what a transform does to images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from monai_debias.constraints import ANY, NONE, NUMBERS, STRING, MappingOf, Number, SequenceOf
from monai_debias.parameters import expects

__all__ = ["method_comparison"]

Run = Mapping[str, Mapping[str, Any]]
Triple = tuple[ArrayLike, ArrayLike, ArrayLike]


@expects(
    results=MappingOf(SequenceOf(MappingOf(MappingOf(ANY), key=STRING), least=1), key=STRING, least=1),
    examples=NONE | MappingOf(SequenceOf(NUMBERS, length=3), key=STRING),
    splits=NONE | MappingOf(STRING, key=STRING, least=1),
    metric=STRING,
    chance=NONE | Number("[0, 1]"),
)
def method_comparison(
    results: Mapping[str, Sequence[Run]],
    examples: Mapping[str, Triple] | None = None,
    splits: Mapping[str, str] | None = None,
    metric: str = "accuracy",
    chance: float | None = None,
) -> Figure:
    """Draw a metric by split and method, and examples of images before and after a transform.

    With one run per method the error bars are that run's bootstrap interval; with several runs a bar is their mean, its
    error bar their standard deviation, and each run is a dot.

    Args:
        results: ``{method: runs}``; a run is the content of the ``metrics.json`` of ``ClassificationReport``.
        examples: ``{caption: (before, mask, after)}``, a row of two pictures each: arrays of shape (H, W), the images
            with values in [0, 1], the binary mask outlined in both.
        splits: ``{split: title}`` of the splits to show, in this order; ``None`` shows all under their names.
        metric: name of the metric, with values in [0, 1].
        chance: value of a classifier that guesses, drawn as a line.

    Returns:
        The figure; nothing is shown or saved.

    Raises:
        ValueError: when there is no run, or a run lacks one of the splits or the metric.

    Example:
        >>> run = {"test": {"metrics": {"accuracy": [0.9, 0.85, 0.95]}}}
        >>> figure = method_comparison({"plain": [run], "BackMix": [run]}, splits={"test": "new site"}, chance=0.25)
        >>> figure.savefig("/dev/null", format="png")
    """
    first = next(iter(results.values()))[0]
    titles = {split: split.replace("_", " ") for split in first} if splits is None else splits
    # (runs, splits, 3) for each method: the value, and the bounds of its interval
    values = {
        method: np.array([_values(method, run, titles, metric) for run in runs]) for method, runs in results.items()
    }
    widths = [6.4, 3.8] if examples else [6.4]
    figure = Figure(figsize=(sum(widths), 4.2), layout="constrained")
    panels = figure.subfigures(1, len(widths), squeeze=False, width_ratios=widths)[0]
    axes = panels[0].subplots()
    _draw_bars(axes, values)
    _label(axes, list(titles.values()), metric, chance)
    if examples:
        _draw_examples(panels[1], examples)
    return figure


def _values(method: str, run: Run, splits: Mapping[str, str], metric: str) -> list[Sequence[float]]:
    for split in splits:
        if metric not in run.get(split, {}).get("metrics", {}):
            raise ValueError(
                f"a run of {method!r} has no {metric!r} of the split {split!r}; expected the metrics of "
                f"{', '.join(splits)} in every run, got those of {', '.join(run) or 'none'}."
            )
    return [run[split]["metrics"][metric] for split in splits]


def _draw_bars(axes: Axes, values: Mapping[str, np.ndarray]) -> None:
    width = 0.8 / len(values)
    for m, (method, of_runs) in enumerate(values.items()):
        points, mean = of_runs[..., 0], of_runs[..., 0].mean(0)
        at = np.arange(len(mean)) + (m - (len(values) - 1) / 2) * width
        several = len(points) > 1
        error = np.tile(points.std(0, ddof=1), (2, 1)) if several else np.abs(of_runs[0, :, 1:].T - mean)
        axes.bar(at, mean, width * 0.92, yerr=error, capsize=3, label=method, error_kw={"lw": 1})
        if several:
            axes.plot(np.tile(at, len(points)), points.ravel(), ".", color="black", ms=4, alpha=0.6)
        for x, value, high in zip(at, mean, mean + error[1], strict=True):
            axes.text(x, high + 0.015, f"{100 * value:.1f}", ha="center", fontsize=8)


def _label(axes: Axes, titles: Sequence[str], metric: str, chance: float | None) -> None:
    if chance is not None:
        axes.axhline(chance, color="grey", lw=1, ls=":", zorder=0)
        axes.text(1.0, chance, " chance", transform=axes.get_yaxis_transform(), color="grey", fontsize=8, va="center")
    axes.set_xticks(range(len(titles)), titles, fontsize=9)
    axes.set_ylim(0, 1.12)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set_ylabel(metric.replace("_", " "))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_examples(panel: SubFigure, examples: Mapping[str, Triple]) -> None:
    grid = panel.subplots(len(examples), 2, squeeze=False)
    for row, (caption, (before, mask, after)) in zip(grid, examples.items(), strict=True):
        for axes, image in zip(row, (before, after), strict=True):
            axes.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=1)
            axes.contour(np.asarray(mask), levels=[0.5], colors=["tab:orange"], linewidths=0.8)
            axes.set_axis_off()
        row[0].set_title(caption, fontsize=8, loc="left")
