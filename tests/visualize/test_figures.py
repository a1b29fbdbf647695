# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from monai_debias.visualize import confusion_matrices, label_metrics, method_comparison


def run(accuracy: float) -> dict:
    return {
        s: {"metrics": {"accuracy": [accuracy, accuracy - 0.05, accuracy + 0.02]}} for s in ("test_same", "test_none")
    }


def test_nothing_of_three_confusion_matrices_is_cut_off():
    counts = np.ones((4, 4), int)
    figure = confusion_matrices(dict.fromkeys(("same", "none", "reversed"), counts), ["PLAX", "PSAX", "A2C", "A4C"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    left, bottom, right, top = figure.get_tightbbox(canvas.get_renderer()).extents
    assert min(left, bottom) > 0
    assert right < figure.get_figwidth()
    assert top < figure.get_figheight()


def test_confusion_matrices_show_the_counts():
    figure = confusion_matrices({"same": [[8, 2], [1, 9]], "reversed": [[0, 10], [10, 0]]}, ["A2C", "A4C"])
    assert [axes.get_title() for axes in figure.axes] == ["same", "reversed"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["8", "2", "1", "9"]


def test_label_metrics_show_values_intervals_and_what_is_not_defined():
    found = {"cyst": {"roc_auc": [0.9, 0.8, 0.95]}, "stone": {"roc_auc": [0.6, None, None]}}
    none = {"cyst": {"roc_auc": [0.7, 0.5, 0.8]}, "stone": {"roc_auc": [None, None, None]}}
    results = {
        split: {"labels": {name: {"metrics": metrics} for name, metrics in labels.items()}}
        for split, labels in (("test_a", found), ("test_b", none))
    }
    panel = label_metrics(results, ["roc_auc"]).axes[0]
    drawn = [np.round(line.get_xdata(), 3).tolist() for line in panel.lines]
    assert [x for x in drawn if x] == [[0.9], [0.8, 0.95], [0.6], [0.7], [0.5, 0.8]]
    assert [text.get_text() for text in panel.texts] == ["undefined"]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["cyst", "stone"]
    assert panel.get_xlabel() == "ROC AUC"
    with pytest.raises(ValueError, match="test: its labels have no auc"):
        label_metrics({"test": results["test_a"]}, ["auc"])
    with pytest.raises(ValueError, match="the same labels"):
        label_metrics({**results, "test_c": {"labels": {}}})


def test_one_run_shows_its_interval_and_several_their_spread():
    example = (np.zeros((8, 8)), np.eye(8), np.ones((8, 8)))
    figure = method_comparison({"baseline": [run(0.9)], "BackMix": [run(0.8)]}, [example], chance=0.25)
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    assert sorted(heights) == [0.8, 0.8, 0.9, 0.9]
    assert len(figure.axes) == 3
    several = method_comparison({"baseline": [run(0.9), run(0.7)]})
    heights = [patch.get_height() for patch in several.axes[0].patches]
    assert heights == pytest.approx([0.8, 0.8])


def test_bad_input_gets_a_clear_error():
    with pytest.raises(ValueError, match=r"expected counts of shape \(2, 2\), got \(1, 2\)"):
        confusion_matrices({"same": [[1, 2]]}, ["A", "B"])
    with pytest.raises(ValueError, match="same splits"):
        method_comparison({"a": [run(0.5)], "b": [{"other": {}}]})
