# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Ultrasound: clips and stills in every format, the sector inside the scanner's overlay, public cohorts."""

from __future__ import annotations

from monai_debias.apps.ultrasound.frames import (
    RandSelectFrame,
    RandSelectFrameD,
    RandSelectFramed,
    RandSelectFrameDict,
    SelectFrame,
    SelectFrameD,
    SelectFramed,
    SelectFrameDict,
)
from monai_debias.apps.ultrasound.load import LoadUltrasound, LoadUltrasoundD, LoadUltrasoundd, LoadUltrasoundDict
from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.apps.ultrasound.sector_mask import (
    SectorGuessWarning,
    UltrasoundSectorMask,
    UltrasoundSectorMaskD,
    UltrasoundSectorMaskd,
    UltrasoundSectorMaskDict,
)
from monai_debias.apps.ultrasound.tmed2 import build_tmed2_datalist
from monai_debias.apps.ultrasound.views import build_ultrasound_datalist

__all__ = [
    "LoadUltrasound",
    "LoadUltrasoundD",
    "LoadUltrasoundDict",
    "LoadUltrasoundd",
    "RandSelectFrame",
    "RandSelectFrameD",
    "RandSelectFrameDict",
    "RandSelectFramed",
    "SectorGuessWarning",
    "SelectFrame",
    "SelectFrameD",
    "SelectFrameDict",
    "SelectFramed",
    "UltrasoundReader",
    "UltrasoundSectorMask",
    "UltrasoundSectorMaskD",
    "UltrasoundSectorMaskDict",
    "UltrasoundSectorMaskd",
    "build_tmed2_datalist",
    "build_ultrasound_datalist",
]
