# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from monai_debias.metrics import bootstrap_intervals, classification_metrics


def predictions(n: int = 200, k: int = 4, strength: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    logits = rng.normal(size=(n, k)) + strength * np.eye(k)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_worked_by_hand():
    metrics = classification_metrics([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    assert metrics["accuracy"] == 0.75
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["f1_macro"] == pytest.approx((0.8 + 2 / 3) / 2)  # class 0: P 1, R 2/3; class 1: P 1/2, R 1
    assert metrics["roc_auc"] == 1.0


def test_it_agrees_with_scikit_learn():
    labels, p = predictions()
    metrics = classification_metrics(labels, p)
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, p.argmax(1)))
    assert metrics["f1_macro"] == pytest.approx(f1_score(labels, p.argmax(1), average="macro"))
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(labels, p, multi_class="ovr", average="macro"))


def test_a_class_that_does_not_occur_is_left_out():
    labels, p = predictions()
    labels, p = labels[labels != 2], p[labels != 2]
    metrics = classification_metrics(labels, p)
    assert metrics["balanced_accuracy"] == pytest.approx(
        np.mean([(p.argmax(1)[labels == k] == k).mean() for k in (0, 1, 3)])
    )
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_the_interval_of_an_accuracy_is_that_of_the_binomial_distribution(confidence):
    """Of 400 samples with 280 hits, a resample has as many hits as 400 draws that each hit with probability 0.7."""
    labels = np.arange(400) % 2
    hit = np.arange(400) < 280
    interval = bootstrap_intervals(
        labels, np.eye(2)[np.where(hit, labels, 1 - labels)], n_resamples=2000, confidence=confidence
    )["accuracy"]
    expected = binom.ppf([(1 - confidence) / 2, (1 + confidence) / 2], 400, 0.7)
    assert np.multiply(interval, 400) == pytest.approx(expected, abs=1.5)  # the ends of the next interval are 3 away


def test_whole_patients_are_resampled():
    labels, p = predictions(40)
    copies = 8  # each patient has 8 identical images: 40 independent observations, not 320
    repeated = np.repeat(labels, copies), np.repeat(p, copies, axis=0)
    patients = [f"patient {i}" for i in np.repeat(np.arange(40), copies)]

    def width(*arguments) -> float:
        low, high = bootstrap_intervals(*arguments, n_resamples=300)["accuracy"]
        return high - low

    assert width(*repeated, patients) == pytest.approx(width(labels, p), rel=0.15)
    assert width(*repeated) < 0.5 * width(labels, p)


def test_intervals_are_reproducible_from_the_seed():
    labels, p = predictions(50)
    first = bootstrap_intervals(labels, p, n_resamples=50, seed=4)
    assert bootstrap_intervals(labels, p, n_resamples=50, seed=4) == first
    assert bootstrap_intervals(labels, p, n_resamples=50, seed=5) != first


@pytest.mark.parametrize(
    ("labels", "p", "message"),
    [
        ([0, 1], [[0.5, 0.5]], r"got \(2,\) and \(1, 2\)"),
        ([0, 1], [[0.5, np.nan], [0.5, 0.5]], "1 of 2 samples have NaN"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "labels must be class indices 0 … 1"),
        ([1, 1], [[0.5, 0.5], [0.5, 0.5]], "only class"),
    ],
)
def test_bad_input_gets_a_clear_error(labels, p, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, p)
    with pytest.raises(ValueError, match=message):
        bootstrap_intervals(labels, p)


def test_bad_bootstrap_arguments_get_a_clear_error():
    labels, p = predictions(10)
    with pytest.raises(ValueError, match="groups has 3 entries for 10"):
        bootstrap_intervals(labels, p, groups=["a", "b", "c"])
    with pytest.raises(ValueError, match="one group"):
        bootstrap_intervals(labels, p, groups=["a"] * 10)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_intervals(labels, p, confidence=95)
