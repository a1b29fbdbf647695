# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from monai_debias.audit.association import attribute_columns, slope, strongest_association, within_class_auc


def simulate(rng: np.random.Generator, effect: float, constant: bool):
    """Images of 60 patients, alike within a patient, with an attribute that goes with the class."""
    patients = np.repeat(np.arange(60), 3)
    classes = np.repeat(rng.integers(0, 2, 60), 3)
    value = np.where(rng.random(60) < 0.7, classes[::3], 1 - classes[::3])
    attribute = np.repeat(value, 3) if constant else np.where(rng.random(180) < 0.7, classes, 1 - classes)
    scores = 2.0 * classes + np.repeat(rng.normal(size=60), 3) * 1.5 + rng.normal(size=180) + effect * attribute
    return attribute, scores[:, None], classes, patients


@pytest.mark.parametrize("constant", [True, False])
def test_false_alarms_with_patients_as_the_unit(constant):
    """The attribute of a patient is exchanged as a whole; of single images there would be 30 % of alarms."""
    rng = np.random.default_rng(1)

    def alarms(effect: float, n: int) -> float:
        p = []
        for _ in range(n):
            attribute, scores, classes, patients = simulate(rng, effect, constant)
            columns = attribute_columns(attribute.astype(str), patients)[1]
            p.append(strongest_association(columns, scores, classes, patients, n_permutations=199).p)
        return float(np.mean(np.array(p) <= 0.05))

    assert 0.02 <= alarms(0.0, 300) <= 0.08
    assert alarms(3.5, 20) > 0.7


def test_what_makes_images_harder_is_no_shortcut():
    """Scores that shrink towards 0 in both classes move in opposite directions, and cancel."""
    rng = np.random.default_rng(0)
    patients, classes = np.arange(400), np.arange(400) % 2
    noisy = rng.integers(0, 2, 400)
    scores = np.where(noisy, 0.5, 2.0) * (2 * classes - 1) + rng.normal(size=400)
    columns = attribute_columns(noisy.astype(str), patients)[1]
    assert strongest_association(columns, scores[:, None], classes, patients, n_permutations=999).p > 0.05


def test_auc_within_classes_is_the_mean_of_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    classes, attribute = rng.integers(0, 2, 100), rng.integers(0, 2, 100)
    scores = rng.normal(size=100) + attribute + 3 * classes
    weights = np.ones((1, 100))
    aucs, sizes = [], []
    for c in (0, 1):
        rows = classes == c
        aucs.append(roc_auc_score(attribute[rows], scores[rows]))
        n1 = attribute[rows].sum()
        sizes.append(n1 * (rows.sum() - n1) / rows.sum())
    found = within_class_auc(attribute.astype(float), scores, classes, weights)
    assert found[0] == pytest.approx(np.average(aucs, weights=sizes))


def test_columns():
    patients = np.arange(12)
    names, columns = attribute_columns(np.array(["A"] * 6 + ["B"] * 5 + ["rare"]), patients)
    assert names == ["A", "B"]
    assert columns.sum(0).tolist() == [6, 5]
    names, columns = attribute_columns(np.arange(12.0), patients)
    assert names == ["higher"]
    assert columns[:, 0].tolist() == pytest.approx((np.arange(12) + 1) / 12)


def test_slope_by_hand():
    """Ranks 1/3 and 2/3 within each class, so centred -1/6 and 1/6; attribute centred -1/2 and 1/2."""
    found = slope(np.array([[0.0], [1], [0], [1]]), np.array([[1.0], [2], [9], [5]]), np.array([0, 0, 1, 1]))
    assert found.tolist() == [[pytest.approx(1 / 6 - 1 / 6)]]


def test_nothing_to_exchange():
    classes = np.arange(20) % 2
    columns = attribute_columns(classes.astype(str), np.arange(20))[1]
    assert strongest_association(columns, np.random.default_rng(0).normal(size=(20, 1)), classes, np.arange(20)) is None
