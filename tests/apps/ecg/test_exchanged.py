# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Exchanged electrodes of a real record, whose leads follow from the voltages of the electrodes."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from monai_debias.apps.ecg import STANDARD_LEADS
from monai_debias.apps.ecg.exchanged import exchanged_electrodes
from tests.apps.ecg.records import load_loudly, real_leads, write_wfdb

RATE = 250
REAL = dict(zip(STANDARD_LEADS, real_leads(rate=RATE), strict=True))
CHEST = STANDARD_LEADS[6:]


def recorded(right_arm="RA", left_arm="LA", left_leg="LL", chest=CHEST, noise=0.0):
    """The leads of the real heart if the cables of the limbs and of the chest are at these electrodes."""
    first, second = REAL["I"], REAL["II"]
    right = -(first + second) / 3  # of voltages that add up to 0, as to Wilson's terminal
    at = {"RA": right, "LA": right + first, "LL": right + second}
    at["RL"] = at["LL"] + noise * np.random.default_rng(0).standard_normal(len(first))
    limbs = at[left_arm] - at[right_arm], at[left_leg] - at[right_arm]
    moved = sum(at[place] for place in (right_arm, left_arm, left_leg)) / 3  # of Wilson's terminal
    return {
        "I": limbs[0],
        "II": limbs[1],
        **{name: REAL[place] - moved for name, place in zip(CHEST, chest, strict=True)},
    }


def exchanged(*names):
    """The chest leads, two of them exchanged."""
    other = dict(zip(names, names[::-1], strict=True))
    return [other.get(name, name) for name in CHEST]


def test_a_record_that_is_right():
    assert exchanged_electrodes(REAL, RATE) == []
    assert exchanged_electrodes(recorded(), RATE) == []


@pytest.mark.parametrize(
    ("limbs", "told"),
    [
        (
            {"right_arm": "LA", "left_arm": "RA"},
            "aVL and not aVR runs most against V5 and V6: the electrodes of both arms",
        ),
        ({"right_arm": "LL", "left_leg": "RA"}, "aVF and not aVR .* of the right arm and the left leg"),
        ({"right_arm": "LL", "left_arm": "RA", "left_leg": "LA"}, "aVL and not aVR"),
        ({"right_arm": "RL", "noise": 0.005}, "lead II is almost flat: .* of the right arm and the right leg"),
        ({"left_arm": "RL", "noise": 0.005}, "lead III is almost flat: .* of the left arm and the right leg"),
    ],
)
def test_electrodes_of_the_limbs(limbs, told):
    (found,) = exchanged_electrodes(recorded(**limbs), RATE)
    assert re.match(told, found), found


def test_what_another_heart_may_have_is_not_told():
    assert exchanged_electrodes(recorded(left_arm="LL", left_leg="LA"), RATE) == []


@pytest.mark.parametrize("pair", [*list(pairwise(CHEST))[:4], ("V1", "V3"), ("V2", "V5"), ("V1", "V6")])
def test_electrodes_of_the_chest(pair):
    (found,) = exchanged_electrodes(recorded(chest=exchanged(*pair)), RATE)
    assert f"if {pair[0]} and {pair[1]} were exchanged" in found


def test_both_at_once():
    found = exchanged_electrodes(recorded("LA", "RA", chest=exchanged("V2", "V3")), RATE)
    assert len(found) == 2


@pytest.mark.parametrize("lead", CHEST)
def test_a_lead_of_noise_is_not_taken_for_an_exchanged_one(lead):
    noise = np.random.default_rng(1).standard_normal(len(REAL["I"]))
    assert not [told for told in exchanged_electrodes({**REAL, lead: noise}, RATE) if "chest" in told]


def test_where_there_is_too_little_to_judge():
    bad = recorded("LA", "RA", chest=exchanged("V2", "V3"))
    assert exchanged_electrodes({name: signal[:RATE] for name, signal in bad.items()}, RATE) == []
    assert exchanged_electrodes({name: bad[name] for name in ("I", "II", "V1")}, RATE) == []
    assert exchanged_electrodes({"II": bad["II"]}, RATE) == []
    for row, name in enumerate(bad):  # as on paper: leads one after the other
        bad[name] = np.where(np.arange(len(bad[name])) // 300 == row, bad[name], np.nan)
    assert exchanged_electrodes(bad, RATE) == []


def test_drift_gaps_and_scale_do_not_matter():
    bad = recorded("LA", "RA", chest=exchanged("V2", "V3"))
    drift = 0.3 * np.sin(2 * np.pi * 0.2 * np.arange(len(bad["I"])) / RATE)
    changed = {name: 0.1 * (signal + drift * (row - 4)) for row, (name, signal) in enumerate(bad.items())}
    changed["V4"][100:400] = np.nan
    assert exchanged_electrodes(changed, RATE) == exchanged_electrodes(bad, RATE) != []


def test_the_reader_warns_and_leaves_the_leads_as_they_are(tmp_path):
    signals = [*recorded(chest=exchanged("V1", "V2")).values()]
    path = write_wfdb(tmp_path, "a", signals, ["I", "II", *CHEST], rate=RATE)
    with pytest.warns(UserWarning, match=r"a\.hea: the chest leads .* V1 and V2 .*\. It is left as it is\."):
        read, meta = load_loudly(path)
    np.testing.assert_allclose(read, signals, atol=1e-3)
    assert meta["leads"] == "I,II,V1,V2,V3,V4,V5,V6"
