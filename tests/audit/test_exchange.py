# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_debias.audit.exchange import Exchanged, Pairs, donor_pairs


@pytest.mark.parametrize(("n_classes", "per_patient"), [(2, 1), (4, 4), (10, 1)])
def test_donors(n_classes, per_patient):
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), per_patient)
    classes = rng.integers(0, n_classes, len(patients))
    pairs = donor_pairs(classes, patients, np.arange(len(patients)), rng)
    assert (classes[pairs.same] == classes[pairs.receiver]).all()
    assert (classes[pairs.other] != classes[pairs.receiver]).all()
    for donors in (pairs.same, pairs.other):
        assert (patients[donors] != patients[pairs.receiver]).all()
    assert len(pairs.receiver) > 0.9 * len(patients)
    blocks_of = {}  # a patient donates in one block only
    for donor, block in zip(np.r_[pairs.same, pairs.other], np.r_[pairs.block, pairs.block], strict=True):
        blocks_of.setdefault(patients[donor], set()).add(block)
    assert {len(blocks) for blocks in blocks_of.values()} == {1}


def test_no_pairs_of_one_class_or_patient():
    rng = np.random.default_rng(0)
    assert donor_pairs(np.zeros(20, int), np.arange(20), np.arange(20), rng) is None
    assert donor_pairs(np.arange(20) % 2, np.zeros(20, int), np.arange(20), rng) is None


def random_result(n: int, reads: float, rng: np.random.Generator) -> Exchanged:
    """What a network says that reads ``reads`` of the donors' class, and strong backgrounds of no meaning."""
    classes, patients = np.arange(n) % 2, np.arange(n)
    pairs = donor_pairs(classes, patients, patients, rng)
    background = rng.normal(size=n) * 2 + reads * (2 * classes - 1)
    sign = 2 * classes[pairs.receiver] - 1
    base = 1.0 + rng.normal(size=len(sign))
    own = np.stack([base + sign * background[donor] for donor in (pairs.same, pairs.other)], 1)
    return Exchanged(pairs, own, own > 0, own <= 0, pairs.receiver)


def test_false_alarms_are_as_many_as_they_should_be_although_donors_are_shared():
    """Treating the differences of images as independent would double the variance that it sees: 16 % of alarms."""
    rng = np.random.default_rng(0)
    p = np.array([random_result(80, 0.0, rng).p(rng, 199) for _ in range(300)])
    assert 0.02 <= (p <= 0.05).mean() <= 0.08
    assert np.mean([random_result(80, 1.0, rng).p(rng, 199) <= 0.05 for _ in range(20)]) > 0.9


def test_effect_by_hand():
    pairs = Pairs(*np.array([[0, 1, 2, 3]] * 3), np.array([0, 0, 1, 1]))
    right = np.array([[1, 0], [1, 1], [1, 0], [0, 1]], bool)
    result = Exchanged(pairs, np.zeros((4, 2)), right, ~right, np.arange(4))
    assert result.lost.tolist() == [1, 0, 1, -1]
    assert result.taken_over.tolist() == [1, 0, 1, -1]
    resampled = result.resampled(result.lost, np.random.default_rng(0))
    assert np.nanmean(resampled) == pytest.approx(0.25, abs=0.05)
