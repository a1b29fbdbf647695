# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_debias.apps.ultrasound.sector.fan import Fan
from monai_debias.apps.ultrasound.sector.search import fit_fan

ROWS, COLUMNS = 90, 110
FANS = {
    "phased": Fan(x=55, y=45, slope=0, spread=1 / 42, left=-30, right=30, top=-40, bottom=38),
    "curved": Fan(x=55, y=45, slope=0, spread=1 / 80, left=-30, right=30, top=-35, bottom=36),
    "linear": Fan(
        x=55, y=45, slope=0, spread=0, left=-25, right=25, top=-30, bottom=35, arc_top=False, arc_bottom=False
    ),
    "steered": Fan(
        x=55, y=45, slope=0.3, spread=0, left=-20, right=20, top=-30, bottom=30, arc_top=False, arc_bottom=False
    ),
    "flat top": Fan(x=55, y=45, slope=0, spread=1 / 80, left=-30, right=30, top=-35, bottom=36, arc_top=False),
}


@pytest.mark.parametrize("probe", FANS)
def test_a_fan_of_noisy_evidence_is_found(probe: str) -> None:
    inside = FANS[probe].contains(ROWS, COLUMNS)
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, inside.shape)
    found = fit_fan(np.where(inside, 1.0, -1.0) + noise).contains(ROWS, COLUMNS)
    assert (found & inside).sum() / (found | inside).sum() > 0.95


def test_a_start_nearby_leads_to_the_same_fan() -> None:
    inside = FANS["curved"].contains(ROWS, COLUMNS)
    evidence = np.where(inside, 1.0, -1.0)
    start = Fan(x=55, y=45, slope=0.02, spread=1 / 76, left=-25, right=25, top=-30, bottom=30)
    found = fit_fan(evidence, start).contains(ROWS, COLUMNS)
    assert (found & inside).sum() / (found | inside).sum() > 0.97


def test_evidence_that_is_nowhere_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="no positive value"):
        fit_fan(np.full((20, 20), -1.0))
