# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The example of docs/ultrasound_sector.md, run as it stands there."""

from __future__ import annotations

from pydicom.data import get_testdata_file

from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("ultrasound_sector")


def test_the_pipeline_finds_the_sector_of_a_real_clip():
    scope: dict = {}
    run_code(block(GUIDE, "python"), scope)
    sample = scope["prepare"]({"image": get_testdata_file("examples_ybr_color.dcm")})
    assert sample["image"].shape[1:] == sample["mask"].shape[1:] == (240, 320)
    assert 0.2 < sample["mask"].float().mean() < 0.8
