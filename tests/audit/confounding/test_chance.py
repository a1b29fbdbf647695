# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Values change places between whole patients only, and p-values are those of the permutations."""

from __future__ import annotations

import numpy as np

from monai_debias.audit.confounding.chance import (
    adjusted_p_values,
    exchanged_rows,
    p_values,
    patient_numbers,
    rows_of_some,
    weights_of_rows,
)

PATIENTS = np.array([0, 0, 0, 1, 2, 2, 3])


def test_each_patient_takes_the_values_of_one_other():
    for rows in exchanged_rows(PATIENTS, 50, np.random.default_rng(0)):
        sources = [set(PATIENTS[rows[patient == PATIENTS]]) for patient in range(4)]
        assert all(len(source) == 1 for source in sources)
        assert {source.pop() for source in sources} == {0, 1, 2, 3}
        for patient in range(4):  # as many different images as there are
            taken = rows[patient == PATIENTS]
            source = PATIENTS[taken[0]]
            assert len(set(taken)) == min(len(taken), (source == PATIENTS).sum())


def test_with_one_image_for_each_patient_it_is_a_permutation_with_every_one_as_likely():
    counts = {}
    for rows in exchanged_rows(np.arange(3), 3000, np.random.default_rng(1)):
        counts[tuple(rows.tolist())] = counts.get(tuple(rows.tolist()), 0) + 1
    assert len(counts) == 6
    assert all(400 < count < 600 for count in counts.values())


def test_weights_and_draws_are_of_patients():
    np.testing.assert_allclose(np.bincount(PATIENTS, weights_of_rows(PATIENTS)), 1)
    rows = rows_of_some(PATIENTS, 2, np.random.default_rng(0))
    drawn = set(PATIENTS[rows])
    assert len(drawn) == 2
    assert set(rows) == set(np.flatnonzero(np.isin(PATIENTS, list(drawn))))
    assert len(rows_of_some(PATIENTS, 4, np.random.default_rng(0))) == 7
    assert len(set(patient_numbers(["a", "", None, "a"]).tolist())) == 3


def test_p_values_by_hand():
    null = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]])
    np.testing.assert_allclose(p_values(np.array([2.0, 9.0]), null), [3 / 4, 1 / 4])
    # in standard deviations: 0 and 3.67; of the largest of each permutation, all are at least the first
    np.testing.assert_allclose(adjusted_p_values(np.array([2.0, 9.0]), null), [3 / 4, 1 / 4])
    constant = np.zeros((3, 1))
    assert adjusted_p_values(np.array([5.0]), constant).tolist() == [1.0]
