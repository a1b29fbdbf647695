# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Resamples of patients and permutations within groups, against what can be counted by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from monai_debias.audit.resampling import flip_p, interval, limit_of_none, patient_weights, permutations


def test_images_of_a_patient_are_drawn_together_and_as_often_as_others():
    patients = np.array([7, 9, 7, 4])
    weights = patient_weights(patients, 6_000, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.05)


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ([1, 1, 1], 1 / 8),  # all signs as they are
        ([2, -1], 2 / 4),  # 2 - 1 is reached by it and by 2 + 1
        ([3, 1, 1, -1], 4 / 16),  # 4 is reached by 3 and at least two of three ones
        ([-1, -2], 1),
        ([0, 0], 1),
    ],
)
def test_signs_are_flipped_and_equal_sums_count(sums, expected):
    p = flip_p(np.array(sums, float), 20_000, np.random.default_rng(0))
    assert p == pytest.approx(expected, abs=0.01)


def test_a_p_value_is_never_zero_and_is_counted_over_all_flips():
    assert flip_p(np.ones(60), 2_500, np.random.default_rng(0)) == 1 / 2_501


def test_an_interval_leaves_out_what_is_not_defined_unless_it_is_half():
    values = np.append(np.arange(101.0), [np.nan] * 100)
    assert interval(values, 0.9) == pytest.approx((5, 95))
    assert interval(np.append(values, np.nan)) == (None, None)
    assert interval(np.array([])) == (None, None)


@pytest.mark.parametrize("n", [1, 8, 183])
def test_the_limit_of_none_is_that_of_scipy(n):
    assert limit_of_none(n) == pytest.approx(binomtest(0, n).proportion_ci(method="exact").high)


def test_permutations_stay_within_their_group_and_all_are_as_likely():
    groups = np.array([1, 0, 1, 5, 1, 0])
    found = permutations(groups, 12_000, np.random.default_rng(0))
    assert (groups[found] == groups).all()
    assert (np.sort(found, axis=1) == np.arange(6)).all()
    counts = Counter(map(tuple, found.tolist()))
    assert len(counts) == 6 * 2
    assert max(abs(count - 1_000) for count in counts.values()) < 150
