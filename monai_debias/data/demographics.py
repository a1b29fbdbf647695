# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Age and sex as tables and headers write them."""

from __future__ import annotations

import re

__all__ = ["sex_letter", "years"]

_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}


def years(age: str) -> int | None:
    """The age in years; None where it is unknown, given in months or days, or above 130.

    Args:
        age: as data sets write it.

    Example:
        >>> years("058Y"), years("45yrs"), years("60"), years("60.0"), years("8 months"), years("NaN")
        (58, 45, 60, 60, None, None)
    """
    match = re.fullmatch(r"0*(\d{1,3})(?:\.0*)?\s*(?:y|yr|yrs|years?)?", age.strip(), flags=re.IGNORECASE)
    return int(match[1]) if match and int(match[1]) < 130 else None


def sex_letter(sex: str) -> str:
    """``"M"`` or ``"F"``; "" where it is unknown.

    Args:
        sex: as data sets write it.

    Example:
        >>> sex_letter("MALE"), sex_letter("f"), sex_letter("Unknown")
        ('M', 'F', '')
    """
    return _SEX.get(sex.strip().lower(), "")
