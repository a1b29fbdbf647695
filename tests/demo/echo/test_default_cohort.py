# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_debias.demo.echo.cohort import build_echo_cohort
from monai_debias.demo.echo.default_cohort import echo_demo_cohort
from tests.samples import make_class_folders

SMALL = {"patients": [1, 1, 1], "frames": 1, "workers": 1}
EXAMPLES = {echo_demo_cohort: lambda folder: {"directory": make_class_folders(folder), **SMALL}}


def test_a_cohort_is_generated_once_and_then_left_alone(tmp_path):
    asked = {"bias": 0.5, "seed": 3, "progress": False, **SMALL}
    assert echo_demo_cohort(tmp_path / "cohort", **asked) == str(tmp_path / "cohort")
    build_echo_cohort(tmp_path / "same", **asked)
    written = {file.relative_to(tmp_path / "same"): file for file in (tmp_path / "same").rglob("*.dcm")}
    assert written
    for name, file in written.items():
        assert (tmp_path / "cohort" / name).read_bytes() == file.read_bytes()
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cohort").rglob("*")}
    echo_demo_cohort(tmp_path / "cohort", bias=1.0, seed=4)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cohort").rglob("*")} == before


def test_other_files_are_not_touched(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="is not an empty directory"):
        echo_demo_cohort(tmp_path, **SMALL)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
