# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/ecg.md runs, and prints what it says."""

from __future__ import annotations

import contextlib
import io

from pydicom.data import get_testdata_file

from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("ecg")


def test_the_real_record_is_read():
    code = block(GUIDE, "python", "get_testdata_file")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        run_code(code, {})
    assert f"# {printed.getvalue().strip()}\n" in code


def test_records_of_any_rate_become_samples_of_one_shape():
    scope: dict = {}
    run_code(block(GUIDE, "python", "prepare ="), scope)
    sample = scope["prepare"]({"image": get_testdata_file("waveform_ecg.dcm")})
    assert sample["image"].shape == (12, 1000)
    assert sample["mask"].shape == (1, 1000)
    assert sample["mask"].all()
