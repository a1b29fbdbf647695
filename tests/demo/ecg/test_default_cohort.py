# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from monai_debias.demo.ecg.default_cohort import ecg_demo_cohort
from tests.samples import make_class_folders

SMALL = {"patients": [1, 1, 1, 1], "records": 1, "sampling_rate": 100, "workers": 1, "progress": False}
EXAMPLES = {ecg_demo_cohort: lambda folder: {"directory": make_class_folders(folder), **SMALL}}


def test_a_cohort_is_generated_once_and_then_left_alone(tmp_path):
    assert ecg_demo_cohort(tmp_path / "new" / "cohort", bias={"padding": 0.5}, **SMALL) == str(
        tmp_path / "new" / "cohort"
    )
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "new").rglob("*")}
    assert len([file for file in before if file.suffix == ".dcm"]) == 6
    ecg_demo_cohort(tmp_path / "new" / "cohort", seed=4)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "new").rglob("*")} == before
