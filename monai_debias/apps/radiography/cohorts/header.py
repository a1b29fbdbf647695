# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the header of a DICOM film says that may be confounded with its label; the pixels are not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_debias.apps.radiography.projection import read_projection
from monai_debias.data.demographics import years
from monai_debias.data.dicom.values import optional, text
from monai_debias.data.reading import FileReadError, reading

__all__ = ["film_attributes"]

_KEYWORDS = {
    "sex": "PatientSex",
    "age": "PatientAge",
    "polarity": "PhotometricInterpretation",
    "manufacturer": "Manufacturer",
}


def film_attributes(path: Path) -> tuple[dict[str, Any], str]:
    """Read view, position, sex, age, polarity and manufacturer, as far as the header has them.

    Args:
        path: a DICOM file.

    Returns:
        What is known, and why the file cannot be read, "" if it can; nothing of either for a missing file.
    """
    if not path.is_file():
        return {}, ""
    try:
        return _film_header(path), ""
    except FileReadError as error:
        return {}, str(error).removeprefix(f"{path}: ")


def _film_header(path: Path) -> dict[str, Any]:
    import pydicom
    from pydicom.config import disable_value_validation

    with reading(path, "the DICOM header"), disable_value_validation():  # whose warnings quote the value
        header = pydicom.dcmread(path, stop_before_pixels=True)
        found = {name: optional(text, header, keyword) for name, keyword in _KEYWORDS.items()}
        projection = read_projection(header)
    return {
        **found,
        "age": years(found["age"] or ""),
        "view": projection.view,
        "view_position": projection.view_position,
    }
