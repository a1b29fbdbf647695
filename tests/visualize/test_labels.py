# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_debias.visualize import label_metrics

_METRICS = {"roc_auc": [0.9, 0.8, 1.0], "average_precision": [0.7, None, None], "f1": [None, None, None]}
EXAMPLES = {label_metrics: {"results": {"test": {"labels": {"A2C": {"metrics": _METRICS}}}}}}


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
    with pytest.raises(ValueError, match="labels of the split 'test' have no auc"):
        label_metrics({"test": results["test_a"]}, ["auc"])
    with pytest.raises(ValueError, match="the same labels"):
        label_metrics({**results, "test_c": {"labels": {}}})
