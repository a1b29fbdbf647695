# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/ecg.md runs, and prints what it says."""

from __future__ import annotations

import contextlib
import io

from tests.docs.guides import block, read_guide

GUIDE = read_guide("ecg")


def test_the_real_record_is_read():
    code = block(GUIDE, "python", "get_testdata_file")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})  # noqa: S102
    assert f"# {printed.getvalue().strip()}\n" in code
