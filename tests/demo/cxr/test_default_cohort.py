# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

from monai_debias.demo import cxr_demo_cohort
from tests.samples import make_class_folders

SMALL = {"patients": [1, 1, 1, 1], "size": 32, "workers": 1, "progress": False}
EXAMPLES = {cxr_demo_cohort: lambda folder: {"directory": make_class_folders(folder), **SMALL}}


def test_a_cohort_is_generated_with_its_options_and_then_left_alone(tmp_path):
    folder = cxr_demo_cohort(tmp_path / "cohort", "tb", bias=1.0, seed=3, **SMALL)
    content = json.loads(Path(folder, "datalist.json").read_text(encoding="utf-8"))
    assert (content["task"], content["bias"], content["seed"]) == ("tb", {"hospital": 1.0}, 3)
    before = {file: file.stat().st_mtime_ns for file in Path(folder).rglob("*")}
    assert cxr_demo_cohort(folder, "covid") == folder
    assert {file: file.stat().st_mtime_ns for file in Path(folder).rglob("*")} == before
