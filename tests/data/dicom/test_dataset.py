# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a DICOM file says of itself: its modality, its patient, whether it has pixels."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from monai_debias.data.dicom.dataset import open_dicom, patient_id, read_content, require_pixels
from monai_debias.data.reading import FileReadError, UnrelatedFileError

PIXELS = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("CT_small.dcm", "modality CT, CT Image Storage"),
        ("MR_small.dcm", "modality MR, MR Image Storage"),
        ("waveform_ecg.dcm", "modality ECG, 12-lead ECG Waveform Storage"),
    ],
)
def test_content(name, found):
    assert str(read_content(open_dicom(Path(get_testdata_file(name))))) == found


def test_what_never_has_pixels_is_unrelated_and_an_image_without_them_is_damaged(tmp_path, write_dicom):
    report = open_dicom(Path(get_testdata_file("reportsi.dcm")))
    with pytest.raises(UnrelatedFileError, match=r"is not an image .*modality SR"):
        require_pixels(report, read_content(report))
    image = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", PIXELS))
    del image.PixelData
    with pytest.raises(FileReadError, match=r"has no pixels .*cut short, or stored without") as caught:
        require_pixels(image, read_content(image))
    assert caught.type is FileReadError


def test_patient_id(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", PIXELS, PatientID=" MRN 7 ")
    assert patient_id(path) == "MRN 7"
    bare = pydicom.dcmread(path)
    pydicom.dcmwrite(tmp_path / "no_preamble", bare, enforce_file_format=False)
    (tmp_path / "bare").write_bytes(path.read_bytes()[132:])
    assert patient_id(tmp_path / "bare") == "MRN 7"
    np.save(tmp_path / "b.npy", PIXELS)
    assert patient_id(tmp_path / "b.npy") == patient_id(tmp_path / "gone") == ""


@pytest.mark.parametrize("vr", [b"DS", b"IS", b"UI", b"FD"])
def test_a_patient_id_that_cannot_be_read_is_unknown_and_not_quoted(tmp_path, write_dicom, vr):
    path = write_dicom(tmp_path / "a.dcm", PIXELS, PatientID="Miller, J.")
    content = path.read_bytes()
    element = b"\x10\0\x20\0LO"
    assert content.count(element) == 1
    path.write_bytes(content.replace(element, element[:4] + vr))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        patient = patient_id(path)
    assert patient in ("", "Miller, J.")
    assert not any("Miller" in str(warning.message) for warning in said)
