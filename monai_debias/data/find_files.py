# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that an inference is asked for: one file, or what a folder holds."""

from __future__ import annotations

import logging
from pathlib import Path

from monai_debias.data.ultrasound_reader import UltrasoundReader

__all__ = ["find_ultrasound_files"]


def find_ultrasound_files(path: str | Path) -> list[str]:
    """List the ultrasound files at a path: the file itself, or all below a folder, in order of their names.

    A folder's files count when their suffix is one that ``UltrasoundReader`` reads, or when they have none, as DICOM
    files often do. Hidden files and a ``DICOMDIR`` are passed over; other files are too, and their number is logged.

    Args:
        path: a file or a folder.

    Returns:
        The paths as strings, at least one.

    Raises:
        FileNotFoundError: when there is nothing at the path, or no such file in the folder.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> [Path(file).name for file in find_ultrasound_files(get_testdata_file("examples_ybr_color.dcm"))]
        ['examples_ybr_color.dcm']
    """
    where = Path(path).expanduser()
    if where.is_file():
        return [str(where)]
    if not where.is_dir():
        raise FileNotFoundError(f"there is no file or folder {where}.")
    names = [p for p in sorted(where.rglob("*")) if p.is_file() and p.name != "DICOMDIR"]
    names = [p for p in names if not any(part.startswith(".") for part in p.relative_to(where).parts)]
    reader = UltrasoundReader()
    found = [str(p) for p in names if reader.verify_suffix(p)]
    if not found:
        raise FileNotFoundError(f"{where} has no DICOM, PNG, JPEG or NPY files ({len(names)} others).")
    if len(found) < len(names):
        logging.getLogger(__name__).info(
            "%d files of %s are not images and are left out", len(names) - len(found), where
        )
    return found
