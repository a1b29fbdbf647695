# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables of the guides with a CSV file of their own: what things cost, and what was measured beside the evidence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.csv_file import RESULTS, ROOT, read
from benchmarks.evidence import echo_flips, mixup_tables
from benchmarks.figures import clean_heatmaps
from benchmarks.speed import backmix, cohort, isnet, mixup, operations, spectral_decoupling

QUOTED: dict[str, tuple[str, Callable]] = {
    "speed_backmix": ("backmix", backmix.quoted),
    "speed_cohort": ("clusters", cohort.quoted),
    "speed_isnet": ("isnet", isnet.quoted),
    "speed_mixup": ("mixup", mixup.quoted),
    "speed_operations": ("isnet", operations.quoted),
    "speed_spectral_decoupling": ("spectral_decoupling", spectral_decoupling.quoted),
    "mixup_clusters": ("mixup", lambda rows: [mixup_tables.quoted(rows)]),
    "clean_heatmaps": ("heatmaps", clean_heatmaps.quoted),
    "echo_flips": ("evidence", lambda rows: [echo_flips.table(rows, ["validation"])]),
}


@pytest.mark.parametrize("name", QUOTED)
def test_the_guide_quotes_the_csv(name):
    (guide, quoted), file = QUOTED[name], RESULTS / f"{name}.csv"
    if not file.exists():
        pytest.skip(f"{file.name} has not been measured yet")
    text = (ROOT / "docs" / f"{guide}.md").read_text(encoding="utf-8")
    assert [table for table in quoted(read(file)) if table not in text] == []
