# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ECGs in a folder, of which some consist of several files."""

from __future__ import annotations

from pathlib import Path

from monai_debias.apps.ecg.wfdb_record import HEADER_SUFFIX, signal_files
from monai_debias.constraints import PATH
from monai_debias.data.folder_search import FoundFiles, find_files
from monai_debias.parameters import expects

__all__ = ["find_ecgs"]


@expects(path=PATH)
def find_ecgs(path: str | Path) -> FoundFiles:
    """List the ECGs at a path, a file or a folder, as :func:`~monai_debias.data.folder_search.find_files` lists files.

    A WFDB record counts once, by its header: the files with its signals, and the headers of its segments, are not
    listed. Other files that may be ECGs are, without being opened.

    Args:
        path: a file or a folder.

    Returns:
        The files to read, and what is left out.

    Raises:
        FileNotFoundError: when there is nothing at the path, or nothing in the folder.
        FileReadError: when it is a pipe, a socket or a device, or an empty file.
        OptionalImportError: when there are WFDB headers, and wfdb is not installed.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> [Path(file).name for file in find_ecgs(get_testdata_file("waveform_ecg.dcm")).files]
        ['waveform_ecg.dcm']
    """
    found = find_files(path)
    headers = [Path(file) for file in found.files if file.lower().endswith(HEADER_SUFFIX)]
    parts = {str(header.with_name(name)) for header in headers for name in signal_files(header)}
    return FoundFiles([file for file in found.files if file not in parts], found.left_out)
