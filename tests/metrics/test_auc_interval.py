# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Intervals of the area under the ROC curve: by hand, as published, and as a bootstrap over patients has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from monai_debias.metrics import classification_metrics
from monai_debias.metrics.auc_interval import auc_interval, auc_variance

# Albumin, K-G score and benefit of surgery of 43 patients of DeLong et al. 1988 in whom all tests are known, as the
# documentation of SAS/STAT has them (PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves").
PATIENTS = """
3.0 10 0, 3.2 5 1, 3.9 3 1, 2.8 6 0, 3.2 3 1, 0.9 5 0, 2.5 8 0, 1.6 5 1, 3.8 5 1, 3.7 6 1, 3.2 4 1, 3.8 6 1, 4.1 5 1,
3.6 5 1, 4.3 4 1, 3.6 4 0, 2.3 6 1, 4.2 4 0, 4.0 6 0, 3.5 6 1, 3.8 7 1, 3.0 8 0, 4.5 5 1, 3.7 5 1, 3.1 6 1, 4.1 6 1,
4.3 5 1, 4.3 4 1, 3.2 5 1, 2.6 6 1, 3.3 6 0, 1.7 7 0, 3.7 5 1, 3.3 7 1, 4.2 6 1, 3.5 5 1, 2.9 9 0, 2.1 7 1, 2.8 8 0,
4.0 7 1, 3.3 6 1, 3.7 5 1, 3.6 5 1
"""
ALBUMIN, SCORE, BENEFIT = np.array([line.split() for line in PATIENTS.split(",")], float).T


@pytest.mark.parametrize(
    ("scores", "area", "error"), [(ALBUMIN, 0.7366, 0.0927), (-SCORE, 0.7258, 0.1028)], ids=["albumin", "K-G score"]
)
def test_variance_as_published(scores, area, error):
    found, variance = auc_variance(BENEFIT == 1, scores, np.arange(43))
    assert found == pytest.approx(area, abs=5e-5)
    assert math.sqrt(variance) == pytest.approx(error, abs=5e-5)


def naive(truth: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Obuchowski's formulas as they are written: pair by pair, with S10, S01 and S11."""
    x, y, of_x, of_y = scores[truth], scores[~truth], groups[truth], groups[~truth]
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    area, v10, v01 = psi.mean(), psi.mean(1), psi.mean(0)
    names, big_m, big_n = np.unique(groups), len(x), len(y)
    s10 = sum((v10[of_x == i].sum() - (of_x == i).sum() * area) ** 2 for i in set(of_x))
    s10 *= len(set(of_x)) / ((len(set(of_x)) - 1) * big_m)
    s01 = sum((v01[of_y == i].sum() - (of_y == i).sum() * area) ** 2 for i in set(of_y))
    s01 *= len(set(of_y)) / ((len(set(of_y)) - 1) * big_n)
    products = (
        (v10[of_x == i].sum() - (of_x == i).sum() * area) * (v01[of_y == i].sum() - (of_y == i).sum() * area)
        for i in names
    )
    s11 = sum(products) * len(names) / (len(names) - 1)
    return area, s10 / big_m + s01 / big_n + 2 * s11 / (big_m * big_n)


def several_images(seed: int = 0, n: int = 60, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One to five images of each patient, of either class, whose scores have a part in common; with ties."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n), rng.integers(1, 6, n))
    truth = rng.random(len(groups)) < np.where(groups % 3 == 0, 0.9, 0.2)
    scores = 0.8 * truth + spread * rng.normal(size=n)[groups] + rng.normal(size=len(groups))
    return truth, scores.round(1), groups


def test_variance_of_clusters_is_that_of_the_formulas():
    truth, scores, groups = several_images()
    assert auc_variance(truth, scores, groups) == pytest.approx(naive(truth, scores, groups), rel=1e-9)
    assert auc_variance(truth, scores, groups)[0] == pytest.approx(roc_auc_score(truth, scores))


def test_repeating_images_of_a_patient_adds_nothing():
    """For samples taken for independent ones the same five-fold data would have a fifth of the variance."""
    groups = np.arange(43)
    once = auc_variance(BENEFIT == 1, ALBUMIN, groups)
    again = [np.repeat(part, 5) for part in (BENEFIT == 1, ALBUMIN, groups)]
    assert auc_variance(*again) == pytest.approx(once, rel=1e-9)
    assert auc_variance(again[0], again[1], np.arange(215))[1] == pytest.approx(once[1] / 5, rel=0.15)


def test_it_agrees_with_the_bootstrap_over_patients():
    truth, scores, groups = several_images(n=300, spread=2.0)
    names, rng = [str(group) for group in groups], np.random.default_rng(0)
    p = 1 / (1 + np.exp(-scores))
    found = classification_metrics(truth.astype(int), p, "binary", groups=names, n_resamples=2000).labels["1"]
    bootstrap, delong = found["roc_auc"], found["roc_auc_delong"]
    assert delong.value == bootstrap.value
    assert delong[1:3] == pytest.approx(bootstrap[1:3], abs=0.01)
    assert delong.note == f"Obuchowski's interval, of {len(groups)} samples of 300 patients or groups"
    alone = auc_interval(truth, p, rng.permutation(len(groups)), 0.95)  # as if every image was of another patient
    assert alone is not None
    assert delong[2] - delong[1] > 1.3 * (alone[1] - alone[0])


def test_the_interval_covers_the_true_area():
    """Of normal scores, Φ(1/√2), with 40 patients; 95 % of 400 have a standard error of 1.1 %."""
    rng, true = np.random.default_rng(0), 0.76025
    truth = np.arange(40) < 15
    covered = 0
    for _ in range(400):
        low, high = auc_interval(truth, rng.normal(size=40) + truth, np.arange(40), 0.95) or (0, 0)
        covered += low <= true <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_where_there_is_no_interval():
    groups = np.arange(4)
    assert auc_interval(np.array([True, True, False, False]), np.array([4.0, 3, 2, 1]), groups, 0.95) is None
    assert auc_interval(np.array([True, False, False, False]), np.array([2.0, 3, 2, 1]), groups, 0.95) is None
    p, labels = [0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]
    perfect = classification_metrics(labels, p, "binary", n_resamples=10).labels["1"]["roc_auc_delong"]
    assert perfect == (1.0, None, None, "no interval: the area is 0 or 1")
    p, patients = [0.9, 0.4, 0.5, 0.1], ["a", "a", "b", "c"]
    one = classification_metrics(labels, p, "binary", groups=patients, n_resamples=10).labels["1"]["roc_auc_delong"]
    assert one == (0.75, None, None, "no interval: all positives or all negatives are of one patient")
    none = classification_metrics([1, 1, 1], [0.9, 0.4, 0.5], "binary", n_resamples=10).labels["1"]
    assert none["roc_auc_delong"] == none["roc_auc"]
    assert "roc_auc_delong" not in classification_metrics(labels, p, "binary", n_resamples=0).labels["1"]
