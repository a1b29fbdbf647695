# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/demo_cohorts.md reads what its command writes."""

from __future__ import annotations

from monai_debias.demo import build_cxr_cohort
from monai_debias.demo.cxr.findings import TASKS
from monai_debias.demo.ecg.devices import HABITS
from monai_debias.demo.ecg.findings import LABELS
from monai_debias.demo.sections import SECTIONS
from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("demo_cohorts")


def test_the_code_reads_what_the_command_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_cxr_cohort("cohort_covid", "covid", patients=(1, 1, 1, 1), size=32, workers=1, progress=False)
    scope: dict = {}
    run_code(block(GUIDE, "python"), scope)
    assert scope["sample"]["image"].shape == scope["sample"]["mask"].shape == (1, 32, 32)
    assert set(scope["sample"]["mask"].unique().tolist()) == {0, 1}


def test_every_section_and_class_is_described():
    assert [name for name in SECTIONS if f"`{name}`" not in GUIDE] == []
    assert [name for names in TASKS.values() for name in names if f"`{name}`" not in GUIDE] == []
    assert [name for name in (*LABELS, *HABITS) if f"`{name}`" not in GUIDE] == []
