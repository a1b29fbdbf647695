# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Ages and sexes as tables and headers write them, and what is no age."""

from __future__ import annotations

import pytest

from monai_debias.data.demographics import sex_letter, years


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("058Y", 58),
        ("45 yrs", 45),
        ("60.0", 60),
        ("0", 0),
        ("300", None),
        ("8 months", None),
        ("NaN", None),
        ("", None),
    ],
)
def test_years(text, expected):
    assert years(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("MALE", "M"), (" f ", "F"), ("Unknown", ""), ("", "")])
def test_sex(text, expected):
    assert sex_letter(text) == expected
