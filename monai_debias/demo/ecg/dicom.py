# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a record as the file that an electrocardiograph would send to an archive: DICOM 12-lead ECG Waveform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid

from monai_debias.demo.ecg.devices import Recording
from monai_debias.demo.ecg.leads import LEADS

__all__ = ["write_dicom"]

_DATE, _TIME = "20240101", "120000"  # fixed, so that the same seed gives the same bytes
_MDC_CODES = ("2:1", "2:2", "2:61", "2:62", "2:63", "2:64", "2:3", "2:4", "2:5", "2:6", "2:7", "2:8")  # CID 3001


def write_dicom(path: Path, recording: Recording, device: str, patient_id: str, uid_source: Sequence[str]) -> None:
    """Write a record as 12-lead ECG Waveform Storage.

    Args:
        path: file to write, in place of an older one; its folder exists.
        recording: what the device recorded.
        device: its name.
        patient_id: synthetic patient id; the study is one per patient.
        uid_source: what makes the file unique, the cohort's seed first; the UIDs are hashes of it.
    """
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = TwelveLeadECGWaveformStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["instance", *uid_source])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["study", uid_source[0], patient_id])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", *uid_source])
    ds.StudyDate = ds.ContentDate = _DATE
    ds.StudyTime = ds.ContentTime = _TIME
    ds.AcquisitionDateTime = _DATE + _TIME
    ds.StudyDescription = "Semi-synthetic record, no patient data"
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID = "1"
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.Modality = "ECG"
    ds.Manufacturer, ds.ManufacturerModelName = "FICTITIOUS", device
    ds.SoftwareVersions = "monai-debias demo cohort"
    ds.PatientName, ds.PatientID = f"DEMO^{patient_id}", patient_id
    ds.PatientBirthDate = ds.PatientSex = ""
    ds.AcquisitionContextSequence = []
    ds.WaveformSequence = [_group(recording)]
    ds.save_as(path, enforce_file_format=True)


def _group(recording: Recording) -> Dataset:
    """The one multiplex group: all leads at the same times."""
    group = Dataset()
    group.MultiplexGroupTimeOffset, group.WaveformOriginality = 0, "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = recording.signal.shape
    group.SamplingFrequency, group.MultiplexGroupLabel = recording.rate, "RHYTHM"
    microvolts = f"{1000 * recording.step:g}"
    group.ChannelDefinitionSequence = [
        _channel(lead, code, microvolts) for lead, code in zip(LEADS, _MDC_CODES, strict=True)
    ]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.WaveformData = np.round(recording.signal / recording.step).astype("<i2").T.tobytes()
    return group


def _channel(lead: str, code: str, sensitivity: str) -> Dataset:
    channel = Dataset()
    channel.ChannelSourceSequence = [_code(code, "MDC", f"Lead {lead}")]
    channel.ChannelSensitivity = sensitivity
    channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = 1, 0
    channel.ChannelSampleSkew, channel.WaveformBitsStored = 0, 16
    return channel


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
