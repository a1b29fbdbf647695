# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import json
import pickle

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.reading import FileReadWarning
from tests.data.image_files import GREY, load

CLIP = get_testdata_file("examples_ybr_color.dcm")
EXAMPLES = {
    UltrasoundReader: [{"frames": 1, "color": color} for color in ("grey", "rgb")],
    UltrasoundReader.read: {"data": CLIP},
}


def test_spacing_from_regions(tmp_path, write_dicom, region):
    path = write_dicom(tmp_path / "a.dcm", GREY, regions=[region()], PixelSpacing=[9, 9], CineRate=50)
    _, meta = load(path)
    np.testing.assert_allclose(meta["spacing"], [0.4, 0.5])
    np.testing.assert_allclose(meta["affine"], np.diag([0.4, 0.5, 1, 1]))
    assert meta["frame_time"] == pytest.approx(20)
    expected = {"spatial_format": 1, "data_type": 1, "flags": 0, "x0": 2, "y0": 1, "x1": 20, "y1": 15, "units_x": 3}
    regions = [{**expected, "units_y": 3, "delta_x": 0.05, "delta_y": 0.04}]
    assert json.loads(meta["ultrasound_regions"]) == regions


def test_spacing_from_pixel_spacing(tmp_path, write_dicom):
    _, meta = load(write_dicom(tmp_path / "a.dcm", GREY, PixelSpacing=[0.3, 0.2]))
    np.testing.assert_allclose(meta["spacing"], [0.3, 0.2])


def test_unknown_spacing(tmp_path, write_dicom):
    _, meta = load(write_dicom(tmp_path / "a.dcm", GREY))
    assert "spacing" not in meta
    assert "frame_time" not in meta
    assert json.loads(meta["ultrasound_regions"]) == []
    np.testing.assert_array_equal(meta["affine"], np.eye(4))


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "examples_palette.dcm"])
def test_regions_of_a_resized_or_cropped_image_are_not_trusted(name):
    with pytest.warns(UserWarning, match="outside of the image"):
        _, meta = load(get_testdata_file(name), frames="first")
    assert "spacing" not in meta
    np.testing.assert_array_equal(meta["affine"], np.eye(4))
    assert json.loads(meta["ultrasound_regions"])


def test_pixel_spacing_beside_regions_that_do_not_fit_is_not_trusted_either(tmp_path, write_dicom, region):
    path = write_dicom(tmp_path / "a.dcm", GREY, regions=[region(RegionLocationMaxX1=600)], PixelSpacing=[0.3, 0.2])
    with pytest.warns(UserWarning, match="outside of the image"):
        _, meta = load(path)
    assert "spacing" not in meta


def test_same_clip_at_its_original_size_has_spacing():
    _, meta = load(get_testdata_file("color3d_jpeg_baseline.dcm"), frames="first")
    np.testing.assert_allclose(meta["spacing"], [0.5104970559] * 2)


def test_no_patient_text_in_meta(tmp_path, write_dicom, region):
    _, meta = load(write_dicom(tmp_path / "a.dcm", GREY, regions=[region()], AccessionNumber="ACC77"))
    text = repr(meta) + repr(pickle.dumps(meta))
    for secret in ("Doe", "Jane", "SECRET", "19500203", "ACC77"):
        assert secret not in text
    known = {"n_frames", "reader", "ultrasound_regions", "spacing", "frame_time", "affine", "spatial_shape"}
    assert set(meta) <= known | {"original_channel_dim", "display_range"}


_ODD = {
    "FrameTime": ["33,3", "30\\31", "abcd", "-1.5", "0", "1e99999", "NaN"],
    "CineRate": ["33,3", "30\\31", "abcd", "-15", "0", "inf"],
    "PixelSpacing": ["0.3", "0.3\\0.2\\0.1", "a\\b", "0,3\\0,2", "0.3\\", "0\\0", "-1\\1", "inf\\1", "NaN\\1"],
}


@pytest.mark.parametrize(("keyword", "text"), [(keyword, text) for keyword, texts in _ODD.items() for text in texts])
def test_odd_optional_value_is_unknown(tmp_path, write_dicom, keyword, text):
    """Texts are put in the place of a number in the file, since pydicom would refuse to write most of them."""
    placeholder = {"FrameTime": "99.12345", "CineRate": "99123456", "PixelSpacing": "99.125\\99.1251"}[keyword]
    path = write_dicom(tmp_path / "a.dcm", GREY, **{keyword: placeholder})
    content = path.read_bytes()
    assert content.count(placeholder.encode()) == 1
    path.write_bytes(content.replace(placeholder.encode(), text.ljust(len(placeholder)).encode()))
    with pytest.warns(FileReadWarning, match=rf"a\.dcm: {keyword} .*unknown"):
        array, meta = load(path)
    np.testing.assert_array_equal(array, GREY)
    assert not {"spacing", "frame_time"} & set(meta)
    np.testing.assert_array_equal(meta["affine"], np.eye(4))


def test_optional_value_of_another_type_counts_if_it_is_a_number(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    ds = pydicom.dcmread(path)
    ds.add_new("FrameTime", "LO", " 40.5 ")
    ds.add_new("PixelSpacing", "FD", [0.3, 0.2])
    ds.save_as(path)
    _, meta = load(path)
    assert meta["frame_time"] == 40.5
    np.testing.assert_allclose(meta["spacing"], [0.3, 0.2])


@pytest.mark.parametrize("vr", ["LO", "OB"])
def test_regions_that_are_no_sequence_are_unknown(tmp_path, write_dicom, vr):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    ds = pydicom.dcmread(path)
    ds.add_new("SequenceOfUltrasoundRegions", vr, "text" if vr == "LO" else b"\1\2\3\4")
    ds.save_as(path)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: SequenceOfUltrasoundRegions is .*expected a sequence"):
        _, meta = load(path)
    assert json.loads(meta["ultrasound_regions"]) == []


def test_frame_time_vector(tmp_path, write_dicom):
    clip = np.zeros((4, 8, 8), dtype=np.uint8)
    _, meta = load(write_dicom(tmp_path / "a.dcm", clip, FrameTimeVector=[0, 30, 40, 50]))
    assert meta["frame_time"] == 40  # 120 ms from the first frame to the last
    _, meta = load(write_dicom(tmp_path / "b.dcm", clip, FrameTimeVector=[0, 30, 40, 50], FrameTime=20))
    assert meta["frame_time"] == 20
    both = {"FrameTimeVector": [0, 30, 40, 50], "FrameTime": 20}
    _, meta = load(write_dicom(tmp_path / "c.dcm", clip, FrameIncrementPointer=0x00181065, **both))
    assert meta["frame_time"] == 40  # that of the two to which the pointer points
    _, meta = load(write_dicom(tmp_path / "d.dcm", clip, FrameIncrementPointer=0x00181063, **both))
    assert meta["frame_time"] == 20


@pytest.mark.parametrize("vector", [[0, 30, 40], [0, 30, -40, 50], [0, 0, 0, 0]])
def test_odd_frame_time_vector_is_unknown(tmp_path, write_dicom, vector):
    clip = np.zeros((4, 8, 8), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", clip, FrameTimeVector=vector, CineRate=50)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: FrameTimeVector has \d values.* for 4 frames"):
        _, meta = load(path)
    assert meta["frame_time"] == 20  # what comes next


@pytest.mark.parametrize(
    ("name", "found"), [("CT_small.dcm", "modality CT, CT Image Storage"), ("waveform_ecg.dcm", "modality ECG")]
)
def test_not_ultrasound(name, found):
    with pytest.raises(ValueError, match=f"{name}: is not ultrasound .*{found}"):
        load(get_testdata_file(name))


def test_modality_may_be_missing_in_an_ultrasound_class(tmp_path, write_dicom):
    array, _ = load(write_dicom(tmp_path / "a.dcm", GREY, Modality=""))
    np.testing.assert_array_equal(array, GREY)


def test_volume_is_refused(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", GREY, SOPClassUID="1.2.840.10008.5.1.4.1.1.6.2")
    with pytest.raises(ValueError, match="is an ultrasound volume"):
        load(path)


def test_no_pixels(tmp_path, write_dicom):
    ds = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", GREY))
    del ds.PixelData
    ds.save_as(tmp_path / "b.dcm")
    with pytest.raises(ValueError, match=r"b.dcm: has no pixels .*cut short, or stored without"):
        load(tmp_path / "b.dcm")


def test_not_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"notes\.txt: is not a DICOM file"):
        load(tmp_path / "notes.txt")


def test_verify_suffix():
    reader = UltrasoundReader()
    assert reader.verify_suffix("a.dcm")
    assert reader.verify_suffix(["IM0001", "a.PNG", "b.npy", "c.nii.gz", "d.AVI"])
    assert not reader.verify_suffix(["a.dcm", "b.csv.gz"])
