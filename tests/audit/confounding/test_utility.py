# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The information that attributes have about labels: against scikit-learn, and against chance in simulated data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

from benchmarks.confounding_null import DESIGNS, simulated
from monai_debias.audit.confounding.columns import Column
from monai_debias.audit.confounding.utility import mutual_information, utilities


def column(codes):
    return Column("hospital", np.asarray(codes), tuple(map(str, range(max(codes) + 1))))


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    a, y = rng.integers(0, 4, 300), rng.integers(0, 3, 300)
    y = np.where(rng.random(300) < 0.4, a % 3, y)
    table = np.zeros((4, 3))
    np.add.at(table, (a, y), 1)
    assert mutual_information(table) == pytest.approx(mutual_info_score(a, y) / np.log(2), abs=1e-12)
    (found,) = utilities([column(a)], {"": y}, np.arange(300), 2000)
    adjusted = adjusted_mutual_info_score(a, y, average_method="min")  # the mean over all permutations, by a formula
    assert found.effect == pytest.approx(adjusted, abs=0.005)
    assert found.p == 1 / 2001
    assert found.low < found.effect < found.high


def test_an_attribute_that_names_the_class_and_one_that_says_nothing():
    labels = np.repeat([0, 1, 2], 30)
    named, random = column(labels), column(np.arange(90) % 2)._replace(name="parity")
    constant = column(np.zeros(90, int))
    first, second = utilities([named, random, constant], {"": labels}, np.arange(90))
    assert first.effect == pytest.approx(1)
    assert first.high == pytest.approx(1)
    assert first.adjusted_p == 0.001
    assert second.effect < 0.02
    assert second.adjusted_p > 0.5


def test_images_of_few_patients_are_no_evidence():
    """What 200 images of 200 patients prove, 200 images of 4 do not."""
    labels = np.repeat([0, 0, 1, 1], 50)
    (of_many,) = utilities([column(labels)], {"": labels}, np.arange(200))
    (of_few,) = utilities([column(labels)], {"": labels}, np.repeat(range(4), 50))
    assert of_many.p == 0.001
    assert of_few.p > 0.2
    assert of_few.patients == 4


def test_an_attribute_that_every_patient_has_for_itself():
    """It tells any label, and no chance could tell less."""
    labels = np.repeat([0, 1], 20)
    own, shared = (
        Column(name, codes, tuple(map(str, codes))) for name, codes in (("uid", np.arange(40)), ("b", labels))
    )
    found = utilities([own, shared], {"": labels}, np.arange(40), n_permutations=99)
    assert [one.name for one in found] == ["b"]


def test_labels_that_are_not_known_and_several_labels():
    rng = np.random.default_rng(0)
    hospital = rng.integers(0, 2, 200)
    questions = {"cyst": np.where(rng.random(200) < 0.5, hospital, -1), "stone": rng.integers(0, 2, 200)}
    cyst, stone = utilities([column(hospital)], {**questions, "never": np.zeros(200, int)}, np.arange(200))
    assert (cyst.label, cyst.effect, cyst.patients) == ("cyst", pytest.approx(1), (questions["cyst"] >= 0).sum())
    assert stone.adjusted_p > 0.05
    assert utilities([], questions, np.arange(200)) == []


@pytest.mark.parametrize("design", DESIGNS)
def test_of_data_where_nothing_goes_with_the_label_one_in_twenty_is_called(design):
    p = []
    for seed in range(30):
        patients, labels, attributes = simulated(design, 1000 + seed)
        p += [line.p for line in utilities([column(codes) for codes in attributes], {"": labels}, patients, 39, seed)]
    share = np.mean(np.array(p) <= 0.05)  # of 120; 5 % with a standard error of 2
    assert share <= 0.13
