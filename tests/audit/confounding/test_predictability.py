# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The AUC of properties for labels of other patients: against scikit-learn, and against chance in simulated data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from benchmarks.confounding_null import simulated
from monai_debias.audit.confounding.columns import Column, as_column
from monai_debias.audit.confounding.predictability import ALL, _Cells, predictabilities


def test_prediction_and_auc_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    codes, fold = rng.integers(0, 5, (400, 2)), rng.integers(0, 5, 400)
    target, weights = (rng.random((400, 3)) < 0.2 + 0.1 * codes[:, :1]).astype(float), rng.random(400) + 0.1
    features = np.hstack([codes[:, :1] == np.arange(5), codes[:, 1:] == np.arange(5)])
    cells = _Cells(features, fold)
    scores = cells.predicted(target, weights)
    of_images = cells.members.T @ scores
    expected = np.empty_like(of_images)
    for one in range(5):
        train, mean = fold != one, np.average(target[fold != one], axis=0, weights=weights[fold != one])
        ridge = Ridge(1.0, fit_intercept=False, solver="cholesky")
        ridge.fit(features[train].astype(float), target[train] - mean, sample_weight=weights[train])
        expected[fold == one] = ridge.predict(features[fold == one].astype(float))
    np.testing.assert_allclose(of_images, expected, atol=1e-8)
    auc = cells.auc(scores, weights[:, None] * target, weights[:, None] * (1 - target))
    pairs = np.zeros((5, 3, 2))
    for one in range(5):
        rows = fold == one
        for k in range(3):
            w, y = weights[rows], target[rows, k]
            pairs[one, k] = roc_auc_score(y, expected[rows, k].round(12), sample_weight=w), (w @ y) * (w @ (1 - y))
    np.testing.assert_allclose(auc, (pairs[..., 0] * pairs[..., 1]).sum(0) / pairs[..., 1].sum(0), atol=1e-9)


def test_a_property_that_is_not_monotone_and_one_that_says_nothing():
    rng = np.random.default_rng(0)
    width = rng.normal(size=300)
    labels = (abs(width) > 0.7).astype(int)
    columns = [as_column("width", width), as_column("noise", rng.normal(size=300)), as_column("bits", [8.0] * 300)]
    width, noise, together = predictabilities(columns, {"": labels}, np.arange(300), 99)
    assert width.effect > 0.95
    assert width.low > 0.9
    assert width.adjusted_p == 0.01
    assert 0.4 < noise.effect < 0.6
    assert noise.adjusted_p > 0.1
    assert together.name == ALL
    assert together.effect > 0.9


def test_patients_are_not_recognised():
    """Each patient has a width of his own: of no use for other patients."""
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 10)
    width, labels = np.repeat(rng.permutation(40) % 8, 10), np.repeat(rng.integers(0, 2, 40), 10)
    found, _ = predictabilities([Column("width", width, tuple("abcdefgh"))], {"": labels}, patients, 99)
    assert found.p > 0.05
    assert found.patients == 40


def test_too_few_patients_and_labels_that_are_not_known():
    labels = np.array([0] * 30 + [1] * 4)
    size = [as_column("size", list(range(34)))]
    assert predictabilities(size, {"": labels}, np.arange(34), 19) == []
    half = np.where(np.arange(100) % 2, np.arange(100) % 4 // 2, -1)
    found, _ = predictabilities([as_column("code", half.tolist())], {"a": half, "b": half * 0}, np.arange(100), 19)
    assert (found.label, found.patients, found.effect) == ("a", 50, 1.0)


@pytest.mark.parametrize("design", ["several images, alike", "several images, labels alike"])
def test_of_data_where_nothing_goes_with_the_label_few_are_called(design):
    corrected = []
    for seed in range(25):
        patients, labels, attributes = simulated(design, 2000 + seed)
        columns = [Column("a", codes, ("a", "b", "c", "d")) for codes in attributes]
        corrected.append(min(one.adjusted_p for one in predictabilities(columns, {"": labels}, patients, 39, seed)))
    assert np.mean(np.array(corrected) <= 0.05) <= 0.2  # 5 of 25, where 1 is expected
