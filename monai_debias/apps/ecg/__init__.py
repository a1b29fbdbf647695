# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""ECGs: records of every format as leads in millivolts, and the transforms of such signals."""

from __future__ import annotations

from monai_debias.apps.ecg.dicom_reader import DICOMWaveformReader
from monai_debias.apps.ecg.ecg_files import find_ecgs
from monai_debias.apps.ecg.leads import STANDARD_LEADS
from monai_debias.apps.ecg.reader import ECGReader
from monai_debias.apps.ecg.wfdb_reader import WFDBReader

__all__ = [
    "STANDARD_LEADS",
    "DICOMWaveformReader",
    "ECGReader",
    "WFDBReader",
    "find_ecgs",
]
