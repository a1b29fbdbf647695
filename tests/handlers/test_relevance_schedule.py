# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
from monai.bundle import ConfigParser

from monai_debias.handlers.relevance_schedule import RelevanceWeightSchedule
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.isnet import ISNetLRPLoss
from tests.handlers.isnet_training import Probe, make_batches, make_images, make_trainer

EXAMPLES = {
    RelevanceWeightSchedule: [
        {"loss": {"_target_": "monai_debias.losses.ISNetLRPLoss"}, "schedule": {"0": 0.1, "1": 0.3}, "ramp": ramp}
        for ramp in (True, False)
    ]
}


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [(True, [0.2, 0.3, 0.4, 0.5, 0.35, 0.2, 0.2, 0.2]), (False, [0.2, 0.2, 0.2, 0.5, 0.5, 0.2, 0.2, 0.2])],
)
def test_a_schedule_between_and_after_its_points(ramp, expected):
    config = {
        "_target_": "monai_debias.handlers.relevance_schedule.RelevanceWeightSchedule",
        "loss": "$loss",
        "schedule": {"2.5": 0.2, "0": 0.2, "1.5": 0.5},
        "ramp": ramp,
    }
    inferer, loss = ISNetInferer(), ISNetLRPLoss()
    schedule = ConfigParser({"s": config}, globals={"loss": loss}).get_parsed_content("s")
    probe = Probe(loss, inferer)
    make_trainer(make_batches(make_images(8)), inferer, loss, [schedule, probe], epochs=4).run()
    assert [weight for _, weight, _, _ in probe.seen] == pytest.approx(expected)


def test_bad_schedules_get_a_clear_error():
    loss = ISNetLRPLoss()
    for schedule in ({1: 0.5}, {"-1": 0.1, "0": 0.2}, {"0": 0.1, 0: 0.2}, {"start": 0.1}):
        with pytest.raises(ValueError, match="must give P at 0 and at later epochs"):
            RelevanceWeightSchedule(loss, schedule)
    for weight in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"schedule\['0'\] is .*, expected a number in \[0, 1\)"):
            RelevanceWeightSchedule(loss, {"0": weight})
