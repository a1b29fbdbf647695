# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest
import torch

from monai_debias.metrics.groups import group_accuracy, paired_difference
from tests.samples import LABELS, PATIENTS

EXAMPLES = {
    group_accuracy: {"labels": LABELS, "predictions": np.arange(24) % 3 % 2, "groups": PATIENTS},
    paired_difference: {"first": [0.9, 0.8, 0.95, 0.7], "second": [0.8, 0.85, 0.75, 0.65], "n_resamples": 20},
}


# ---------------------------------------------------------------- group_accuracy


def test_accuracy_worked_by_hand():
    labels, predictions = [0, 1, 2, 2, 1, 0], [0, 1, 1, 2, 0, 1]
    groups = ["b", "a", "a", "c", "a", "b"]
    accuracy = group_accuracy(labels, predictions, groups)
    assert accuracy == {"a": pytest.approx(1 / 3), "b": 0.5, "c": 1.0}
    assert list(accuracy) == ["a", "b", "c"]
    assert all(type(name) is str and type(value) is float for name, value in accuracy.items())


def test_it_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    labels, predictions, groups = rng.integers(3, size=200), rng.integers(3, size=200), rng.integers(7, size=200) * 10
    expected = {g: (labels == predictions)[groups == g].mean() for g in sorted(set(groups.tolist()))}
    assert group_accuracy(labels, predictions, groups) == pytest.approx(expected)


def test_kinds_of_classes_and_groups():
    expected = {False: 0.5, True: 1.0}
    for labels, predictions in (
        (["A2C", "A4C", "A4C"], ["A2C", "A2C", "A4C"]),
        (torch.tensor([0, 1, 1]), np.array([0, 0, 1], dtype=np.uint8)),
        ([False, True, True], [0, 0, 1]),
    ):
        accuracy = group_accuracy(labels, predictions, np.array([False, False, True]))
        assert accuracy == expected
        assert all(type(name) is bool for name in accuracy)


@pytest.mark.parametrize("missing", [-1, float("nan")])
def test_each_known_label_of_several_is_a_decision(missing):
    labels = np.array([[1, 0, missing], [0, missing, missing], [1, 1, 1]])
    predictions = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 0]])
    accuracy = group_accuracy(labels, predictions, ["a", "a", "b"], ignore_value=missing)
    assert accuracy == {"a": pytest.approx(2 / 3), "b": pytest.approx(2 / 3)}
    assert group_accuracy([0, -1, 1], [0, 1, 0], ["a", "a", "b"], ignore_value=-1) == {"a": 1.0, "b": 0.0}
    with pytest.raises(ValueError, match=r"groups \['b'\] have no known label, and thus no accuracy"):
        group_accuracy([0, -1], [0, 1], ["a", "b"], ignore_value=-1)


@pytest.mark.parametrize(
    ("labels", "predictions", "groups", "message"),
    [
        ([0, 1], [0], ["a", "b"], r"groups \(N,\), N > 0, got .*'predictions': \(1,\)"),
        ([0, 1], [0, 1], ["a"], r"'groups': \(1,\)"),
        ([], [], [], "N > 0"),
        ([[0, 1]], [[0, 1]], [["a", "b"]], r"'labels': \(1, 2\)"),
        ([0, 1], [0, 1], [("a", 1), ("b", 2)], r"'groups': \(2, 2\)"),
    ],
)
def test_wrong_shapes_get_a_clear_error(labels, predictions, groups, message):
    with pytest.raises(ValueError, match=message):
        group_accuracy(labels, predictions, groups)


@pytest.mark.parametrize(
    ("labels", "predictions", "groups", "message"),
    [
        ([0, 1], [0.2, 0.9], ["a", "b"], "predictions must be integers, .*, got float64: give classes rather than"),
        ([0.0, np.nan], [0, 1], ["a", "b"], "labels must be integers"),
        ([0, 1], [0, 1], [0.0, np.nan], "groups must be integers"),
        ([0, 1], [0, 1], ["a", None], "groups is of type list and length 2, expected an array of numbers or strings"),
        ([0, 1], ["0", "1"], ["a", "b"], "labels are int64 and predictions <U1"),
        (["0", "1"], [0, 1], ["a", "b"], "labels are <U1 and predictions int64"),
    ],
)
def test_wrong_kinds_get_a_clear_error(labels, predictions, groups, message):
    with pytest.raises(TypeError, match=message):
        group_accuracy(labels, predictions, groups)


# ---------------------------------------------------------------- paired_difference


def test_the_interval_is_that_of_all_resamples():
    first, second = np.array([0.9, 0.7, 0.8, 1.5, 0.6]), np.array([0.9, 0.7, 0.75, 0.7, 0.5])
    difference = first - second
    means = np.array([np.mean(chosen) for chosen in product(difference, repeat=5)])  # every one of the 5^5
    for confidence in (0.8, 0.95):
        result = paired_difference(first, second, n_resamples=40_000, confidence=confidence)
        low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
        assert result.mean == pytest.approx(0.19)  # of skewed differences
        assert result.low == pytest.approx(low, abs=2e-3)
        assert result.high == pytest.approx(high, abs=2e-3)


def test_what_a_seed_does_to_both_cancels():
    luck = np.array([0.0, 10.0, -20.0, 5.0, 0.0, 3.0])
    better = luck + np.array([1, 2, 3, 1, 2, 3])
    result = paired_difference(better, luck)
    assert result.mean == pytest.approx(2)
    assert 1 < result.low < 2 < result.high < 3
    swapped = paired_difference(luck, better)
    assert swapped.mean == pytest.approx(-2)
    assert -3 < swapped.low < -2 < swapped.high < -1


def test_few_seeds_reach_the_range_at_most():
    assert paired_difference([1.0, 3.0], [0.0, 0.0]) == (2.0, 1.0, 3.0)
    assert paired_difference([1.0, 3.0, 5.0], [0.0, 0.0, 0.0]) == (3.0, 1.0, 5.0)


def test_its_coverage_is_limited_as_documented():
    rng = np.random.default_rng(0)
    for n, limit in ((2, 0.5), (3, 0.75), (4, 0.875), (5, 0.9375)):
        results = [paired_difference(*rng.normal(size=(2, n)), n_resamples=300) for _ in range(300)]
        covered = np.mean([low <= 0 <= high for _, low, high in results])
        assert limit - 0.17 < covered < limit + 0.07


def test_the_seed_decides_and_nothing_warns():
    first, second = np.random.default_rng(1).normal(size=(2, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = [paired_difference(first, second, n_resamples=50, seed=seed) for seed in (0, 0, 1)]
        assert paired_difference([0.3, 0.4, 0.5], [0.2, 0.3, 0.4]) == pytest.approx((0.1, 0.1, 0.1))
    assert results[0] == results[1] != results[2]
    assert results[0] != paired_difference(first, second, n_resamples=51)
    assert all(type(value) is float for value in results[0])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0.5, 0.6], [0.5], r"two arrays of one shape .* got \(2,\) and \(1,\)"),
        ([0.5], [0.5], "n of at least 2"),
        ([], [], "n of at least 2"),
        ([[0.5, 0.6]] * 2, [[0.5, 0.6]] * 2, r"got \(2, 2\)"),
        ([0.5, np.nan, 0.5], [0.5, 0.5, 0.5], "first has 1 NaN or infinite"),
        ([0.5, np.inf], [0.5, 0.5], "first has 1 NaN or infinite"),
        ([0.5, 0.5], [np.inf, np.nan], "second has 2 NaN or infinite"),
    ],
)
def test_bad_values_get_a_clear_error(first, second, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(first, second)
