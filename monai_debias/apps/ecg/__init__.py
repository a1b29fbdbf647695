# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""ECGs: records of every format as leads in millivolts, and the transforms of such signals."""

from __future__ import annotations

from monai_debias.apps.ecg.band_pass import BandPassSignal, BandPassSignalD, BandPassSignald, BandPassSignalDict
from monai_debias.apps.ecg.baseline_wander import (
    RandBaselineWander,
    RandBaselineWanderD,
    RandBaselineWanderd,
    RandBaselineWanderDict,
)
from monai_debias.apps.ecg.beat_mask import BeatMask, BeatMaskD, BeatMaskd, BeatMaskDict
from monai_debias.apps.ecg.cohorts.build import build_ecg_datalist, build_ptbxl_datalist
from monai_debias.apps.ecg.dicom_reader import DICOMWaveformReader
from monai_debias.apps.ecg.duration import FitDuration, FitDurationD, FitDurationd, FitDurationDict
from monai_debias.apps.ecg.ecg_files import find_ecgs
from monai_debias.apps.ecg.gain import RandSignalGain, RandSignalGainD, RandSignalGaind, RandSignalGainDict
from monai_debias.apps.ecg.lead_dropout import RandLeadDropout, RandLeadDropoutD, RandLeadDropoutd, RandLeadDropoutDict
from monai_debias.apps.ecg.leads import STANDARD_LEADS
from monai_debias.apps.ecg.mains_hum import RandMainsHum, RandMainsHumD, RandMainsHumd, RandMainsHumDict
from monai_debias.apps.ecg.noise import RandSignalNoise, RandSignalNoiseD, RandSignalNoised, RandSignalNoiseDict
from monai_debias.apps.ecg.normalize import NormalizeSignal, NormalizeSignalD, NormalizeSignald, NormalizeSignalDict
from monai_debias.apps.ecg.notch import NotchSignal, NotchSignalD, NotchSignald, NotchSignalDict
from monai_debias.apps.ecg.paper import draw_ecg_heatmap
from monai_debias.apps.ecg.reader import ECGReader
from monai_debias.apps.ecg.resample import ResampleSignal, ResampleSignalD, ResampleSignald, ResampleSignalDict
from monai_debias.apps.ecg.signal_mask import SignalMask, SignalMaskD, SignalMaskd, SignalMaskDict
from monai_debias.apps.ecg.wfdb_reader import WFDBReader

__all__ = [
    "STANDARD_LEADS",
    "BandPassSignal",
    "BandPassSignalD",
    "BandPassSignalDict",
    "BandPassSignald",
    "BeatMask",
    "BeatMaskD",
    "BeatMaskDict",
    "BeatMaskd",
    "DICOMWaveformReader",
    "ECGReader",
    "FitDuration",
    "FitDurationD",
    "FitDurationDict",
    "FitDurationd",
    "NormalizeSignal",
    "NormalizeSignalD",
    "NormalizeSignalDict",
    "NormalizeSignald",
    "NotchSignal",
    "NotchSignalD",
    "NotchSignalDict",
    "NotchSignald",
    "RandBaselineWander",
    "RandBaselineWanderD",
    "RandBaselineWanderDict",
    "RandBaselineWanderd",
    "RandLeadDropout",
    "RandLeadDropoutD",
    "RandLeadDropoutDict",
    "RandLeadDropoutd",
    "RandMainsHum",
    "RandMainsHumD",
    "RandMainsHumDict",
    "RandMainsHumd",
    "RandSignalGain",
    "RandSignalGainD",
    "RandSignalGainDict",
    "RandSignalGaind",
    "RandSignalNoise",
    "RandSignalNoiseD",
    "RandSignalNoiseDict",
    "RandSignalNoised",
    "ResampleSignal",
    "ResampleSignalD",
    "ResampleSignalDict",
    "ResampleSignald",
    "SignalMask",
    "SignalMaskD",
    "SignalMaskDict",
    "SignalMaskd",
    "WFDBReader",
    "build_ecg_datalist",
    "build_ptbxl_datalist",
    "draw_ecg_heatmap",
    "find_ecgs",
]
