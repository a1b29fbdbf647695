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
from tests.data.image_files import CLIP, GREY, in_place_of, load, silently

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


@pytest.mark.parametrize(("implicit", "little_endian"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("pixels", [GREY, GREY.astype(np.uint16)])
def test_no_preamble_and_no_file_meta(tmp_path, write_dicom, implicit, little_endian, pixels):
    ds = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", pixels, bits=8))
    del ds.file_meta, ds.preamble
    if not little_endian:
        ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    pydicom.dcmwrite(tmp_path / "b", ds, implicit_vr=implicit, little_endian=little_endian)
    np.testing.assert_array_equal(silently(tmp_path / "b")[0], GREY)


def test_no_preamble_but_file_meta(tmp_path, write_dicom):
    for name, jpeg in (("a.dcm", False), ("b.dcm", True)):
        path = write_dicom(tmp_path / name, CLIP, jpeg=jpeg)
        truth, _ = silently(path)
        path.write_bytes(path.read_bytes()[132:])
        np.testing.assert_array_equal(silently(path)[0], truth)


@pytest.mark.parametrize("jpeg", [False, True])
def test_header_that_was_cut_short_is_not_another_modality(tmp_path, write_dicom, jpeg):
    content = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=jpeg).read_bytes()
    path = tmp_path / "b.dcm"
    for size in range(0, len(content), 23):
        path.write_bytes(content[:size])
        with pytest.raises(FileReadError, match=r"b\.dcm: ") as error:
            load(path)
        assert type(error.value) is FileReadError or size < 132, size  # which begin without DICM


def test_compression_that_nothing_tells_of(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x08\0\x16\0UI") :])  # from the SOP class on
    with pytest.raises(FileReadError, match=r"a\.dcm: does not say how its pixels are compressed"):
        load(path)


def test_deflated_data_that_are_broken(tmp_path):
    content = bytearray(Path(get_testdata_file("image_dfl.dcm")).read_bytes())
    content[400:500] = b"\xff" * 100
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(FileReadError, match=r"a\.dcm: the DICOM header cannot be read: error: Error -3"):
        load(tmp_path / "a.dcm")


@pytest.mark.parametrize("uid", [b"1.2.840.10008.1.2.9\0", b"not a transfer ui\0\0\0", b"1.2.840.10008.1.2.6\0"])
def test_transfer_syntax_that_is_none(tmp_path, write_dicom, uid):
    path = in_place_of(write_dicom(tmp_path / "a.dcm", GREY), b"1.2.840.10008.1.2.1\0", uid)
    with pytest.raises(FileReadError, match=r"a\.dcm: .*transfer syntax"):
        load(path)
