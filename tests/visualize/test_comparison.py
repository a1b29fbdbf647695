# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from monai_debias.visualize import confusion_matrices, method_comparison

EXAMPLES = {
    method_comparison: {
        "results": {"plain": [{"test": {"metrics": {"accuracy": [0.9, 0.85, 0.95]}}}]},
        "splits": {"test": "new site"},
        "examples": {"a clip": (np.zeros((4, 4)), np.eye(4), np.ones((4, 4)))},
    }
}


def run(accuracy: float) -> dict:
    return {
        s: {"metrics": {"accuracy": [accuracy, accuracy - 0.05, accuracy + 0.02]}} for s in ("test_same", "test_random")
    }


def test_one_run_shows_its_interval_and_several_their_spread():
    figure = method_comparison({"plain": [run(0.9)], "BackMix": [run(0.8)]}, chance=0.25)
    assert sorted(patch.get_height() for patch in figure.axes[0].patches) == [0.8, 0.8, 0.9, 0.9]
    assert np.allclose(error_bars(figure), [(0.85, 0.92)] * 2 + [(0.75, 0.82)] * 2)
    several = method_comparison({"plain": [run(0.9), run(0.7)]})
    assert [patch.get_height() for patch in several.axes[0].patches] == pytest.approx([0.8, 0.8])
    assert np.allclose(error_bars(several), [(0.8 - 0.02**0.5, 0.8 + 0.02**0.5)] * 2)


def error_bars(figure: Figure) -> list[np.ndarray]:
    collections = [bars for bars in figure.axes[0].collections if isinstance(bars, LineCollection)]
    return [segment[:, 1] for bars in collections for segment in bars.get_segments()]


def test_splits_are_shown_in_the_given_order_under_the_given_titles():
    one = {split: run(value)["test_same"] for split, value in {"val": 0.5, "test_a": 0.6, "test_b": 0.7}.items()}
    figure = method_comparison({"plain": [one]}, splits={"test_b": "another hospital", "test_a": "as in training"})
    assert [patch.get_height() for patch in figure.axes[0].patches] == [0.7, 0.6]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["another hospital", "as in training"]
    unnamed = method_comparison({"plain": [one]})
    assert [label.get_text() for label in unnamed.axes[0].get_xticklabels()] == ["val", "test a", "test b"]


def test_examples_stand_beside_the_bars_with_their_captions_and_nothing_is_cut_off():
    triple = np.zeros((8, 8)), np.eye(8), np.ones((8, 8))
    examples = {f"A2C, before and after BackMix with the background of clip {k}": triple for k in range(3)}
    figure = method_comparison({"plain": [run(0.9)], "BackMix": [run(0.8)]}, examples, chance=0.25)
    pictures = figure.axes[1:]
    assert [axes.get_title(loc="left") for axes in pictures[::2]] == list(examples)
    assert [axes.images[0].get_array().mean() for axes in pictures] == [0, 1] * 3
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ends = [text.get_window_extent().x1 for axes in figure.axes for text in axes.findobj(Text)]
    assert max(ends) <= canvas.get_width_height()[0]


def test_bad_input_gets_a_clear_error():
    with pytest.raises(ValueError, match=r"expected counts of shape \(2, 2\), got \(1, 2\)"):
        confusion_matrices({"same": [[1, 2]]}, ["A", "B"])
    with pytest.raises(
        ValueError, match=r"a run of 'b' has no 'accuracy' of the split 'test_same'.*got those of other"
    ):
        method_comparison({"a": [run(0.5)], "b": [{"other": {}}]})
    with pytest.raises(ValueError, match="a run of 'a' has no 'roc_auc' of the split 'test_random'"):
        method_comparison({"a": [run(0.5)]}, splits={"test_random": "random overlay"}, metric="roc_auc")
