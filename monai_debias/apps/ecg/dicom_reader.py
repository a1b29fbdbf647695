# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of DICOM waveforms only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_debias.apps.ecg.dicom_waveform import read_dicom_waveform
from monai_debias.apps.ecg.reader import ECGReader
from monai_debias.apps.ecg.record import Record
from monai_debias.parameters import constraints_of, expects

__all__ = ["DICOMWaveformReader"]

_OPTIONS = constraints_of(ECGReader)


class DICOMWaveformReader(ECGReader):
    """Read DICOM waveforms as :class:`~monai_debias.apps.ecg.reader.ECGReader` does, and refuse other files.

    The result has the shape (leads, samples).

    Args:
        leads: names of the leads in the order of the result; None for the leads of each file.
        missing: ``"error"`` or ``"nan"``, what becomes of a lead that a file neither has nor gives.
        max_bytes: largest size of a record in memory.

    Raises:
        ValueError: if an argument has another value.
        UnrelatedFileError: from :meth:`get_data` if the file is not DICOM, or has no waveform.
        FileReadError: from :meth:`get_data`, as :class:`~monai_debias.apps.ecg.reader.ECGReader`.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> reader = DICOMWaveformReader()
        >>> signals, meta = reader.get_data(reader.read(get_testdata_file("waveform_ecg.dcm")))
        >>> signals.shape, meta["leads"]
        ((12, 10000), 'I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6')
    """

    @expects(leads=_OPTIONS["leads"], missing=_OPTIONS["missing"], max_bytes=_OPTIONS["max_bytes"])
    def __init__(self, leads: Sequence[str] | None = None, missing: str = "error", max_bytes: int = 2**30) -> None:
        super().__init__(leads, missing, max_bytes=max_bytes)

    def open_record(self, path: Path) -> Record:
        """Open the waveform, and refuse other files.

        Args:
            path: the file.
        """
        return read_dicom_waveform(path, self.max_bytes)
