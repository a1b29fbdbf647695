# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Lines and table of the benchmark of the audit, with networks whose shortcut is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.audit.cases import Case
from benchmarks.audit.command import one_audit, rank_correlation, table
from benchmarks.audit.null_rates import SIMULATIONS
from benchmarks.evidence.training import Judge
from tests.audit.subjects import LooksAt, make_items


def line(method: str, corner: float, fall: float) -> dict[str, str]:
    items = [{**item, "mark": item["scanner"]} for item in make_items(400)]
    found = one_audit(Case(Judge(LooksAt(corner=corner).eval()), items, fall, 150), 1)
    columns = {"testbed": "toy", "method": method, "strength": "0.9", "seed": "0", **found}
    return {key: "" if value is None else str(value) for key, value in columns.items()}


def test_lines_and_table():
    used, clean = line("plain", 8.0, 0.3), line("unbiased", 0.0, 0.0)
    assert (used["alarm"], used["images"], used["background_verdict"]) == ("1", "150", "found")
    assert clean["alarm"] == "0"
    found = table([used, clean])
    assert "| toy | plain, loses 10 points or more | 1 | 1 |" in found
    assert "| toy | trained without the mark | 1 | 0 | 0 | 0 | 0 | 0 |" in found
    assert "| toy | rank correlation of effect and fall, 2 networks | | | 1.00 | 1.00 | 1.00 |" in found
    assert "and the room, which is random, in 0." in found
    several = table([used, clean, {**used, "testbed": "other", "fall": "0.4", "stamp_effect": "0.9"}])
    assert "| all | rank correlation of effect and fall, 3 networks |" in several
    assert "| all that lose 1 point or more | rank correlation of effect and fall, 2 networks |" in several


def test_the_rank_correlation_is_that_of_the_means_of_networks():
    """Falls 2, 3 and 4 with effects 2, 5 and 3 have ρ = 1 - 6 (1 + 1) / (3 · 8) = 0.5; 1 has none."""
    names = {"testbed": "t", "method": "plain", "strength": "1", "audit": "0"}
    effects = {"1": [""], "2": ["1", "3"], "3": ["5"], "4": ["2", "4"]}
    rows = [
        {**names, "seed": fall, "fall": fall, "stamp_effect": effect}
        for fall, all_ in effects.items()
        for effect in all_
    ]
    assert rank_correlation(rows, "stamp") == pytest.approx(0.5)


def test_without_masks_only_stamps_and_patches_are_looked_for():
    items = [{**item, "mark": item["scanner"]} for item in make_items(200, bias=1.0)]
    found = one_audit(Case(Judge(LooksAt(middle=1.0, corner=20.0).eval()), items, 0.3, 300), 1, masks=False)
    assert found["stamp_verdict"] == found["patch_verdict"] == "found"
    assert "background_verdict" not in found
    row = {
        "testbed": "toy",
        "method": "plain",
        "strength": "1.0",
        "seed": "0",
        **{key: str(value) for key, value in found.items()},
    }
    assert "| testbed | networks | audits | alarms | stamp | patch |" in table([row])
    assert "| toy | plain, loses 10 points or more | 1 | 1 | 1 | 1 |" in table([row])


@pytest.mark.parametrize("name", SIMULATIONS)
def test_simulations(name):
    rng = np.random.default_rng(0)
    assert 0 < SIMULATIONS[name](rng, 0.0) <= 1
    assert SIMULATIONS[name](rng, 20.0) <= 0.05
