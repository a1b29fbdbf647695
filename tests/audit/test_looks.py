# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Two looks accuse as seldom as one, and the second is not taken where the first decides."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.audit import audit
from monai_debias.audit.checks import BackgroundUsed, PatchUsed
from monai_debias.audit.looks import Look, planned_looks
from monai_debias.audit.resampling import flip_p
from tests.audit.subjects import looks_at, make_items


def test_the_shares_of_all_looks_are_one():
    assert sum(look.share for look in planned_looks(1000, 400)) == pytest.approx(1)
    assert planned_looks(799, 400) == [Look(799, 1.0)]
    assert planned_looks(0, 400) == [Look(0, 1.0)]


def test_two_looks_accuse_as_seldom_as_one():
    """Whoever looks twice at 0.05 each accuses in 8 of 100; and here one goes on wherever that may help."""
    rng, accused = np.random.default_rng(0), 0
    first, last = planned_looks(200, 50)
    for _ in range(600):
        values = rng.normal(size=200)
        p = [look.p(flip_p(values[: look.n], 999, rng)) for look in (first, last)]
        accused += min(p) <= 0.05
    assert accused / 600 <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


@pytest.mark.parametrize(
    ("low", "high", "p", "decides"),
    [(-0.01, 0.01, 0.9, True), (0.03, 0.2, 1e-4, True), (0.03, 0.2, 0.01, False), (0.01, 0.2, 1e-4, False)],
)
def test_what_decides(low, high, p, decides):
    assert planned_looks(1000, 400)[0].decides(low, high, p, 0.02) == decides
    assert not planned_looks(1000, 400)[0].decides(None, None, p, 0.02)


def asked_for(weight: float, noise: float = 0.4) -> tuple[int, str]:
    """How many images the exchanges of backgrounds of 900 patients take, and the verdict."""
    asked = []

    def network(x):
        asked.append(len(x))
        return looks_at(10, weight)(x)

    (one,) = audit(network, make_items(900, noise=noise), checks=[BackgroundUsed()]).findings
    assert one.details["images"] == one.patients
    return one.patients, one.verdict


def test_a_strong_mark_and_one_that_is_not_read_are_decided_by_some_of_the_images():
    assert asked_for(8) == (400, "found")
    assert asked_for(0) == (400, "not found")


def test_a_weak_mark_takes_all_images():
    n, verdict = asked_for(0.4)
    assert n > 800
    assert verdict != "not found"


def test_patches_that_cost_no_patient_an_answer_are_no_all_clear_of_a_few_patients():
    """Half of 120 patients decide, and none of 60 leaves 6 points; none of 183 less than two."""
    (one,) = audit(looks_at(10, 0), make_items(120), checks=[PatchUsed(n_proposing=100)]).findings
    assert (one.effect, one.verdict) == (0.0, "too little data")
    assert one.high == pytest.approx(0.06, abs=0.003)
    assert one.patients_needed == 183


def test_images_that_an_exchange_leaves_as_they_are_need_not_be_asked_about():
    items = make_items(60, bias=1.0, noise=0.0)
    for item in items:
        item["image"][:, 14:, 14:] = 0.5  # all backgrounds are the same
    asked = []

    def network(x):
        asked.append(len(x))
        return looks_at(10, 8)(x)

    (one,) = audit(network, items, checks=[BackgroundUsed()]).findings
    assert one.effect == 0.0
    assert sum(asked) == 60 + 32  # once all, and the first batch again for its time


@pytest.mark.parametrize("n", [9, 40, 60])
def test_answers_that_follow_the_background_against_the_labels_are_no_all_clear(n):
    """As where the images' marks name other classes than in the training: own backgrounds make the network wrong."""
    (one,) = audit(looks_at(10, -8), make_items(n), checks=[BackgroundUsed()]).findings
    assert one.effect < -0.1
    assert one.verdict == "too little data"
    assert "images like those of its training" in one.note


def test_a_few_patients_whose_answers_only_become_better_leave_the_limit_of_none():
    (one,) = audit(looks_at(10, -1), make_items(40), checks=[BackgroundUsed()]).findings
    assert -0.1 < one.effect < 0
    assert one.high == pytest.approx(one.effect + 0.088, abs=0.001)  # of none of 40 patients
    assert one.verdict == "too little data"
