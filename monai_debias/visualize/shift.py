# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How the clusters of hidden states change through training, method by method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from monai_debias.constraints import NONE, NUMBERS, STRING, MappingOf
from monai_debias.parameters import expects

__all__ = ["distribution_shift"]

_COLORS = ("#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_SMALLEST_RANGE = 0.1  # of an axis of R²: a state that does not change must look like it
_STEPS_A_ROW = 4


@expects(
    curves=MappingOf(MappingOf(NUMBERS, key=STRING, least=1), key=STRING, least=1),
    iterations=NONE | NUMBERS,
    title=NONE | STRING,
)
def distribution_shift(
    curves: Mapping[str, Mapping[str, ArrayLike]], iterations: ArrayLike | None = None, title: str | None = None
) -> Figure:
    """Draw R² of the clusters of hidden states over training: a panel for each state, a line for each method.

    Nothing is smoothed, since the jumps from one measurement to the next are of interest. With several runs (seeds) the
    line is their mean and the band is one standard deviation to either side. The number of each method above a panel is
    the mean absolute step from one measurement to the next; it is computed in each run and then averaged, since the
    mean line evens out the jumps of single runs. Panels have their own vertical scales.

    Args:
        curves: ``{method: {layer: values}}``; values in [0, 1] from
            :func:`~monai_debias.metrics.clusters.cluster_separation`, of shape (points,) or (runs, points).
            Every method has the same layers and points; the numbers of runs may differ.
        iterations: the training iteration of each point, shape (points,), increasing; by default points are numbered.
        title: a text above the figure.

    Returns:
        The figure; nothing is shown or saved.

    Raises:
        ValueError: when there are no methods or layers, methods differ in their layers, values are not of these shapes,
            there are fewer than two points, their numbers are not equal, values are NaN or outside [0, 1], or the
            iterations do not increase.

    Reference:
        Chen et al., Flow-Mixup, BIBM 2020 (the analysis of distribution shift).

    Example:
        >>> curves = {"Mixup": {"input": [0.2, 0.2, 0.2], "layer1": [[0.3, 0.5, 0.4], [0.2, 0.5, 0.5]]}}
        >>> figure = distribution_shift(curves, iterations=[0, 100, 200])
        >>> figure.savefig("/dev/null", format="png")
    """
    runs = _as_runs(curves)
    layers = list(next(iter(runs.values())))
    n_points = next(iter(runs.values()))[layers[0]].shape[1]
    at = _as_iterations(iterations, n_points)
    width = max(5.0, 3.4 * len(layers))
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for panel, layer in zip(panels, layers, strict=True):
        _draw(panel, layer, [of_layer[layer] for of_layer in runs.values()], at)
        panel.set_xlabel("measurement" if iterations is None else "training iteration")
    panels[0].set_ylabel("R² of the clusters")
    columns = min(len(runs), int(width / 1.7))
    figure.legend(panels[0].get_lines(), list(runs), loc="outside lower center", ncols=columns, frameon=False)
    if title is not None:
        figure.suptitle(title)
    return figure


def _draw(panel: Axes, layer: str, of_method: Iterable[NDArray], at: NDArray) -> None:
    steps = []
    for i, values in enumerate(of_method):
        color, mean = _COLORS[i % len(_COLORS)], values.mean(0)
        style = ("-", "--", ":", "-.")[i // len(_COLORS) % 4]
        panel.plot(at, mean, style, color=color, lw=1.2)
        if len(values) > 1:
            spread = values.std(0, ddof=1)
            panel.fill_between(at, mean - spread, mean + spread, color=color, alpha=0.18, lw=0)
        steps.append(f"{np.abs(np.diff(values)).mean():.3f}")
    low, high = panel.get_ylim()
    middle, half = (low + high) / 2, max(high - low, _SMALLEST_RANGE) / 2
    panel.set_ylim(middle - half, middle + half)
    panel.set_xlim(at[0], at[-1])
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(layer, fontsize=10, pad=24 + 12 * -(-len(steps) // _STEPS_A_ROW))  # the steps are between
    panel.legend(
        panel.get_lines(),
        steps,
        title="mean |step|",
        title_fontsize=8,
        fontsize=8,
        labelcolor="linecolor",
        ncols=_STEPS_A_ROW,
        handlelength=1.0,
        columnspacing=1.2,
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        borderaxespad=0.0,
    )


def _as_runs(curves: Mapping[str, Mapping[str, ArrayLike]]) -> dict[str, dict[str, NDArray]]:
    """Values as arrays (runs, points)."""
    layers = list(next(iter(curves.values())))
    runs: dict[str, dict[str, NDArray]] = {}
    n_points = None
    for method, of_layer in curves.items():
        if set(of_layer) != set(layers):
            raise ValueError(
                f"{method!r} has the layers {list(of_layer)}, but {next(iter(curves))!r} has {layers}; expected the "
                "same layers for every method."
            )
        runs[method] = {}
        for layer in layers:
            where = f"values of {method!r} at {layer!r}"
            values = np.atleast_2d(np.asarray(of_layer[layer], dtype=float))
            n_points = values.shape[-1] if n_points is None else n_points
            if values.ndim != 2 or not len(values) or values.shape[1] < 2:
                raise ValueError(
                    f"{where} have shape {values.shape}, expected (points,) or (runs, points) with two points or more."
                )
            if values.shape[1] != n_points:
                raise ValueError(f"{where} have {values.shape[1]} points, expected {n_points}, as the others have.")
            if not ((values >= 0) & (values <= 1)).all():
                raise ValueError(f"{where} are NaN or outside [0, 1], expected R² from cluster_separation.")
            runs[method][layer] = values
    return runs


def _as_iterations(iterations: ArrayLike | None, n_points: int) -> NDArray:
    at = np.arange(n_points) if iterations is None else np.asarray(iterations, dtype=float)
    if at.shape != (n_points,):
        raise ValueError(f"iterations have shape {at.shape}, expected ({n_points},), one for each point.")
    if not (np.isfinite(at).all() and (np.diff(at) > 0).all()):
        raise ValueError("iterations must be finite and increase.")
    return at
