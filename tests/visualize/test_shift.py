# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from itertools import pairwise

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from monai_debias.visualize.shift import distribution_shift

EXAMPLES = {
    distribution_shift: {
        "curves": {"Mixup": {"input": [0.2, 0.3, 0.2]}, "Flow-Mixup": {"input": [[0.2, 0.4, 0.3], [0.3, 0.3, 0.4]]}},
        "iterations": [0, 50, 100],
    }
}


METHODS = ["no mixing", "Mixup", "Manifold Mixup", "Flow-Mixup"]
LAYERS = ["input", "layer1", "layer2.0"]


def example(runs: int | None = 3, points: int = 12) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    shape = (points,) if runs is None else (runs, points)
    return {method: {layer: rng.uniform(0.2, 0.8, shape) for layer in LAYERS} for method in METHODS}


def picture(figure: Figure) -> np.ndarray:
    figure.savefig(file := io.BytesIO(), format="png")
    file.seek(0)
    return matplotlib.image.imread(file)


def test_a_panel_for_each_state_and_every_value_of_every_method():
    curves, at = example(), np.arange(12) * 50
    figure = distribution_shift(curves, at, title="three seeds")
    assert [axes.get_title() for axes in figure.axes] == LAYERS
    assert [text.get_text() for text in figure.legends[0].get_texts()] == METHODS
    assert figure.get_suptitle() == "three seeds"
    for axes, layer in zip(figure.axes, LAYERS, strict=True):
        assert axes.get_xlabel() == "training iteration"
        lines, bands = axes.get_lines(), axes.collections
        assert len(lines) == len(bands) == 4
        assert len({line.get_color() for line in lines}) == 4
        for line, band, method in zip(lines, bands, METHODS, strict=True):
            values = curves[method][layer]
            np.testing.assert_array_equal(line.get_xdata(), at)
            np.testing.assert_allclose(line.get_ydata(), values.mean(0))  # as they are: not smoothed
            edges = band.get_paths()[0].vertices
            for x, mean, spread in zip(at, values.mean(0), values.std(0, ddof=1), strict=True):
                reached = edges[edges[:, 0] == x, 1]
                assert (reached.min(), reached.max()) == pytest.approx((mean - spread, mean + spread))
            low, high = axes.get_ylim()
            assert low <= edges[:, 1].min() <= edges[:, 1].max() <= high


def test_steps_are_those_of_the_runs_and_not_of_their_mean():
    curves = {"Manifold Mixup": {"layer1": [[0.2, 0.4, 0.2], [0.4, 0.2, 0.4]]}, "Mixup": {"layer1": [0.5, 0.51, 0.53]}}
    figure = distribution_shift(curves)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), 0.3)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0.200", "0.015"]
    assert axes.get_xlabel() == "measurement"


def test_one_run_has_no_band_and_means_the_same_with_or_without_a_dimension_for_runs():
    curves = example(runs=None)
    figure = distribution_shift(curves)
    assert not [collection for axes in figure.axes for collection in axes.collections]
    same = distribution_shift({m: {k: v[None] for k, v in layers.items()} for m, layers in curves.items()})
    np.testing.assert_array_equal(picture(figure), picture(same))


def test_what_does_not_change_is_a_flat_line_in_a_range_that_does_not_magnify_rounding():
    figure = distribution_shift({"Mixup": {"input": [0.3, 0.3 + 1e-9, 0.3]}})
    low, high = figure.axes[0].get_ylim()
    assert high - low == pytest.approx(0.1)
    assert low < 0.3 < high


@pytest.mark.parametrize(("n_layers", "n_methods"), [(1, 4), (4, 4), (1, 9)])
def test_nothing_overlaps_or_leaves_the_picture(n_layers, n_methods):
    rng = np.random.default_rng(1)
    layers = [f"features.denseblock{k}" for k in range(n_layers)]
    curves = {f"{METHODS[i % 4]} {i}": {layer: rng.uniform(0, 1, (2, 5)) for layer in layers} for i in range(n_methods)}
    figure = distribution_shift(curves, title="title")
    assert picture(figure)[..., :3].std() > 0.02
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(styles) == n_methods
    for axes in figure.axes:
        parts = [axes.patch, axes.get_legend(), axes.title, figure._suptitle]  # from the bottom to the top
        boxes = [part.get_window_extent() for part in parts]
        for lower, upper in pairwise(boxes):
            assert lower.y1 <= upper.y0 + 1
        assert figure.legends[0].get_window_extent().y1 <= axes.xaxis.label.get_window_extent().y0 + 1
    whole = figure.bbox
    for part in (*figure.legends, figure._suptitle, *(axes.get_legend() for axes in figure.axes)):
        box = part.get_window_extent()
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1
        assert box.y0 >= whole.y0 - 1
        assert box.y1 <= whole.y1 + 1


def test_bad_input_gets_a_clear_error():
    good = [0.1, 0.2, 0.3]
    for curves, message in (
        ({"a": {"x": good}, "b": {"y": good}}, r"'b' has the layers \['y'\], but 'a' has \['x'\]"),
        ({"a": {"x": good}, "b": {"x": good, "y": good}}, r"'b' has the layers \['x', 'y'\]"),
        ({"a": {"x": good}, "b": {"x": good[:2]}}, "values of 'b' at 'x' have 2 points, expected 3"),
        ({"a": {"x": good, "y": good + good}}, "values of 'a' at 'y' have 6 points, expected 3"),
        ({"a": {"x": [0.1]}}, "two points or more"),
        ({"a": {"x": np.zeros((0, 3))}}, r"have shape \(0, 3\)"),
        ({"a": {"x": np.zeros((1, 2, 3))}}, r"have shape \(1, 2, 3\)"),
        ({"a": {"x": [0.1, float("nan")]}}, "values of 'a' at 'x' are NaN or outside"),
        ({"a": {"x": [0.1, 1.1]}}, "NaN or outside"),
    ):
        with pytest.raises(ValueError, match=message):
            distribution_shift(curves)
    for iterations, message in (
        ([0, 1], r"iterations have shape \(2,\), expected \(3,\)"),
        ([0, 2, 2], "must be finite and increase"),
        ([0, 1, float("nan")], "must be finite and increase"),
    ):
        with pytest.raises(ValueError, match=message):
            distribution_shift({"a": {"x": good}}, iterations)
