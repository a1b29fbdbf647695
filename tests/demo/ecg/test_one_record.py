# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a cardiologist would measure, on the mean beat of several patients, by the published criteria."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.demo.ecg import heart, rhythm
from monai_debias.demo.ecg.findings import Findings
from monai_debias.demo.ecg.heart import heart_dipole
from monai_debias.demo.ecg.leads import LEADS, twelve_leads
from monai_debias.demo.ecg.one_record import simulate
from monai_debias.demo.ecg.patients import draw_patient
from monai_debias.demo.ecg.rhythm import draw_beats

RATE, BEFORE, AFTER = 500, 0.4, 0.5  # samples a second; seconds around the R peak


def mean_beat(findings, seed):
    """The mean beat of a patient without noise, mV, (12, samples), and its time in s from the R peak."""
    rng = np.random.default_rng(seed)
    patient = draw_patient(rng)
    dipole, beats = heart_dipole(patient, findings, 10, RATE, rng)
    leads = twelve_leads(patient.leads @ dipole.T)
    centres = [
        round(b * RATE) for b, early in zip(beats.times, beats.premature, strict=True) if 1 < b < 9 and not early
    ]
    cut = [leads[:, centre - round(BEFORE * RATE) : centre + round(AFTER * RATE)] for centre in centres]
    return np.mean(cut, axis=0), np.arange(-round(BEFORE * RATE), round(AFTER * RATE)) / RATE


def beats_of(findings, patients=12):
    found = [mean_beat(findings, seed) for seed in range(patients)]
    return np.array([beat for beat, _ in found]), found[0][1]


@pytest.fixture(scope="module")
def normal():
    return beats_of(Findings())


def level(beats, t, lead, start, end):
    """Mean of a lead between two times, against the time before the QRS, of each patient."""
    inside, base = (t >= start) & (t < end), (t >= -0.07) & (t < -0.055)
    values = beats[:, LEADS.index(lead)]
    return values[:, inside].mean(1) - values[:, base].mean(1)


def qrs_duration(beats, t):
    """Seconds in which any lead changes by more than 6 mV/s around the R peak."""
    steep = (np.abs(np.gradient(beats, 1 / RATE, axis=2)) > 6).any(1) & (np.abs(t) < 0.15)
    return np.array([np.ptp(t[row]) for row in steep])


def test_a_normal_beat_is_within_normal_limits(normal):
    beats, t = normal
    assert 0.06 < np.median(qrs_duration(beats, t)) < 0.11
    axis = np.degrees(
        np.arctan2(level(beats, t, "aVF", -0.05, 0.06) * 2 / np.sqrt(3), level(beats, t, "I", -0.05, 0.06))
    )
    assert -30 < np.median(axis) < 90
    r = {lead: beats[:, LEADS.index(lead)].max(1) for lead in LEADS}
    assert (r["V1"] < r["V3"]).all()  # R waves grow towards the left
    assert (r["V3"] < r["V5"]).all()
    assert 0.7 < np.median(r["V5"]) < 2.0
    assert (beats[:, LEADS.index("aVR")][:, np.abs(t) < 0.04].min(1) < -0.3).all()
    assert (level(beats, t, "II", 0.2, 0.3) > 0.05).all()  # T
    p = (t > -0.22) & (t < -0.1)
    heights = beats[:, LEADS.index("II")][:, p].max(1)
    assert ((heights > 0.03) & (heights < 0.25)).all()


def test_left_bundle_branch_block(normal):
    beats, t = beats_of(Findings(conduction="left bundle branch block"))
    assert np.median(qrs_duration(beats, t)) > 0.12
    assert np.median(level(beats, t, "V1", -0.04, 0.1)) < -0.2
    assert np.median(level(beats, t, "V6", -0.04, 0.1)) > 0.2
    assert np.median(level(beats, t, "V6", 0.25, 0.35)) < 0  # T against the QRS
    assert np.median(level(*normal, "V6", 0.25, 0.35)) > 0
    assert np.median(level(beats, t, "V2", 0.25, 0.35)) > 0


def test_right_bundle_branch_block(normal):
    beats, t = beats_of(Findings(conduction="right bundle branch block"))
    assert np.median(qrs_duration(beats, t)) > 0.115
    for lead, sign in (("V1", 1), ("V6", -1), ("I", -1)):  # R' on the right, S on the left
        late = sign * level(beats, t, lead, 0.05, 0.08)
        assert np.median(late) > 0.05
        assert np.median(late) > (sign * level(*normal, lead, 0.05, 0.08)).max()


@pytest.mark.parametrize(
    ("st", "raised", "lowered"),
    [
        ("anterior ST elevation", ("V2", "V3", "V4"), ()),
        ("inferior ST elevation", ("II", "III", "aVF"), ("aVL",)),
        ("ST depression", ("aVR",), ("V4", "V5", "II")),
    ],
)
def test_st_segments_fulfil_the_criteria_in_their_leads(normal, st, raised, lowered):
    """At least 0.1 mV up or 0.05 mV down, 40 to 60 ms after the QRS (Thygesen et al. 2018)."""
    changed, t = beats_of(Findings(st=st))
    for lead in raised:
        assert np.median(level(changed, t, lead, 0.09, 0.11)) > (0.03 if lead == "aVR" else 0.1)
    for lead in lowered:
        assert np.median(level(changed, t, lead, 0.09, 0.11)) < -0.05
    for lead in (*raised, *lowered):
        assert np.abs(np.median(level(*normal, lead, 0.09, 0.11))) < 0.05


def test_first_degree_block_takes_more_than_200_ms():
    def p_to_r(beats, t):
        p = (t > -0.38) & (t < -0.09)
        return -t[p][beats[:, LEADS.index("II")][:, p].argmax(1)]

    usual, long = (p_to_r(*beats_of(Findings("bradycardia", first_degree=late))) for late in (False, True))
    # from the top of the P wave; its foot is 40 ms earlier, and the QRS begins 40 ms before the R
    assert (usual < 0.2).all()
    assert np.median(long) > 0.21
    assert (long > 0.19).all()


@pytest.mark.parametrize(
    ("name", "slowest", "fastest"),
    [
        ("sinus rhythm", 58, 102),
        ("bradycardia", 40, 62),
        ("tachycardia", 97, 138),
        ("atrial fibrillation", 52, 150),
    ],
)
def test_rhythms(name, slowest, fastest):
    steps = [np.diff(draw_beats(Findings(name), 10, np.random.default_rng(seed)).times) for seed in range(30)]
    assert all(slowest < 60 / own.mean() < fastest for own in steps)
    irregular = np.median([own.std() / own.mean() for own in steps])
    assert irregular > 0.1 if name == "atrial fibrillation" else irregular < 0.06


def test_premature_beats_come_early_and_are_followed_by_a_pause():
    for seed in range(20):
        beats = draw_beats(Findings(premature=True), 10, np.random.default_rng(seed))
        inside = np.flatnonzero(beats.premature & (beats.times > 1) & (beats.times < 9))
        assert len(inside)
        steps = np.diff(beats.times)
        usual = np.median(steps)
        for number in inside:
            assert steps[number - 1] < 0.8 * usual
            assert steps[number] > 1.15 * usual


def test_fibrillating_atria_have_no_p_wave(monkeypatch):
    """Without the waves of the atria there is nothing, in slow beats, far from the last T wave."""
    monkeypatch.setattr(heart, "_FIBRILLATION", np.zeros(3))
    monkeypatch.setitem(rhythm._RATES, "atrial fibrillation", (36, 40))
    beats, t = beats_of(Findings(rhythm="atrial fibrillation"), 3)
    before = (t > -0.22) & (t < -0.1)
    assert (np.abs(beats[:, LEADS.index("II")][:, before]) < 0.05).all()


@pytest.mark.parametrize("rate", [100, 500, 800])
def test_a_record_has_twelve_leads_that_fit_each_other(rate):
    rng = np.random.default_rng(0)
    leads = dict(zip(LEADS, simulate(draw_patient(rng), Findings(), rate, rng), strict=True))
    assert {values.shape for values in leads.values()} == {(10 * rate,)}
    np.testing.assert_allclose(leads["I"] + leads["III"], leads["II"], atol=1e-9)  # Einthoven
    np.testing.assert_allclose(leads["aVR"] + leads["aVL"] + leads["aVF"], 0, atol=1e-9)  # Goldberger


def test_records_of_a_patient_show_one_heart_and_those_of_others_do_not():
    def shape(seed):
        return mean_beat(Findings(), seed)[0]

    assert np.abs(shape(1) - shape(1)).max() == 0
    assert np.abs(shape(1) - shape(2)).max() > 0.1
