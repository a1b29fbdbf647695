# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest

from monai_debias.metrics import choose_thresholds, classification_metrics
from monai_debias.metrics.thresholds import Threshold, read_thresholds, write_thresholds
from tests.samples import LABELS, PROBABILITIES, VIEWS

EXAMPLES = {choose_thresholds: {"labels": np.eye(2)[LABELS], "probabilities": PROBABILITIES, "class_names": VIEWS}}


def test_worked_by_hand():
    """Above 0.4 are both positives and one of three negatives, index 2/3; above 0.6 half and none, index 1/2."""
    found = choose_thresholds([1, 0, 1, 0, 0], [0.9, 0.6, 0.5, 0.3, 0.1], "binary", ["healthy", "ill"])
    assert found == {"ill": Threshold(pytest.approx(0.4), 5, 2, "")}


def test_no_other_threshold_has_a_higher_index():
    rng = np.random.default_rng(0)
    labels, p = rng.integers(2, size=60), rng.random(60).round(1)
    p = np.where(labels, p**0.7, p)
    chosen = choose_thresholds(labels, p, "binary")["1"].value

    def index(cut: float) -> float:
        found = classification_metrics(labels, p, "binary", thresholds=cut, n_resamples=0).labels["1"]
        return found["sensitivity"].value + found["specificity"].value - 1

    others = [index(cut) for cut in np.linspace(0, 1, 101)]
    assert index(chosen) == pytest.approx(max(others))
    assert index(chosen) > index(0.9) + 0.05


def test_of_equally_good_ones_the_nearest_to_a_half():
    assert choose_thresholds([0, 1], [0.2, 0.2], "binary")["1"].value == pytest.approx(0.6)  # 0.1 is as good as 0.6
    assert choose_thresholds([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.8], "binary")["1"].value == pytest.approx(0.7)  # or 0.25
    assert choose_thresholds([0, 1], [0.99, 0.995], "binary")["1"].value == pytest.approx(0.9925)


def test_missing_labels_count_nowhere_and_one_kind_of_label_has_no_threshold():
    labels = [[1, 1, 0, -1], [0, 1, 0, -1], [-1, -1, 0, -1]]
    p = [[0.8, 0.3, 0.5, 0.5], [0.4, 0.2, 0.6, 0.5], [0.9, 0.9, 0.1, 0.5]]
    found = choose_thresholds(labels, p, class_names=["a", "b", "c", "d"], ignore_value=-1)
    assert found == {
        "a": Threshold(pytest.approx(0.6), 2, 1, ""),
        "b": Threshold(None, 2, 2, "undefined: no negatives among 2 known labels"),
        "c": Threshold(None, 3, 0, "undefined: no positives among 3 known labels"),
        "d": Threshold(None, 0, 0, "undefined: no known labels"),
    }


def test_a_softmax_has_none():
    with pytest.raises(ValueError, match="task is 'softmax', expected 'binary', 'multi_label'"):
        choose_thresholds([0, 1], [[0.5, 0.5]] * 2, "softmax")


def test_a_file_keeps_them(tmp_path):
    path = tmp_path / "thresholds.json"
    chosen = {"cyst": Threshold(0.25, 9, 3, ""), "stone": Threshold(None, 9, 0, "undefined: no positives")}
    write_thresholds(path, chosen, "multi_label", "validation")
    assert read_thresholds(path, "multi_label", ["cyst", "stone"]) == [0.25, None]
    content = json.loads(path.read_text())
    assert (content["chosen_on"], content["rule"]) == ("validation", "Youden's index")
    assert content["thresholds"]["stone"] == {"value": None, "known": 9, "positive": 0, "note": chosen["stone"].note}


def test_a_wrong_file_gets_a_clear_error(tmp_path):
    path = tmp_path / "thresholds.json"
    with pytest.raises(FileNotFoundError, match="an evaluation with validation data writes it"):
        read_thresholds(path, "binary", ["ill"])
    write_thresholds(path, {"ill": Threshold(0.5, 2, 1, "")}, "binary", "validation")
    for task, names in (("multi_label", ["ill"]), ("binary", ["fracture"])):
        with pytest.raises(ValueError, match=r"of \['ill'\] in the task 'binary', but the classifier has"):
            read_thresholds(path, task, names)
    path.write_text('{"test": {}}')
    with pytest.raises(ValueError, match="has no thresholds"):
        read_thresholds(path, "binary", ["ill"])
