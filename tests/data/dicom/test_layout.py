# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How pixels lie in the data of a DICOM file: what contradicts the data, and what makes no sense."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.reading import FileReadError, FileReadWarning
from tests.data.image_files import CLIP, GREY, RNG, change, load, silently


def test_data_that_are_too_long(tmp_path, write_dicom):
    path = change(write_dicom(tmp_path / "a.dcm", GREY), PixelData=GREY.tobytes() + bytes(100))
    with pytest.warns(
        FileReadWarning, match=r"a\.dcm: the pixel data has 100 bytes more than 1 frames of 16 rows x 24 co"
    ):
        array, _ = load(path)
    np.testing.assert_array_equal(array, GREY)


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_size_that_contradicts_the_data(tmp_path, write_dicom, keyword):
    path = change(write_dicom(tmp_path / "a.dcm", GREY), **{keyword: 30})
    with pytest.raises(
        FileReadError, match=r"has 384 of \d+ bytes for 1 frames of .*: the file is cut short, or its head"
    ):
        load(path)
    change(path, **{keyword: 13})
    with pytest.warns(FileReadWarning, match=r"a\.dcm: the pixel data has \d+ bytes more than 1 frames"):
        load(path)


@pytest.mark.parametrize("size", [(24, 16), (16, 25), (8, 8), (65535, 65535)])
def test_size_of_a_compressed_frame_is_right(tmp_path, write_dicom, size):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    truth, _ = silently(path)
    change(path, Rows=size[0], Columns=size[1])
    said = rf"a\.dcm: the header declares {size[0]} rows x {size[1]} columns, but the compressed frame has 16 x 24"
    with pytest.warns(FileReadWarning, match=said) as warned:
        array, _ = load(path)
    np.testing.assert_array_equal(array, truth)
    assert len([w for w in warned if w.category is FileReadWarning]) == 1  # not one for each frame
    assert UltrasoundReader().read(path).content.frame_bytes == 16 * 24


def test_size_of_a_jpeg_2000_frame_is_right(tmp_path):
    path = tmp_path / "a.dcm"
    ds = pydicom.dcmread(get_testdata_file("US1_J2KR.dcm"))
    truth, rows, columns = ds.pixel_array, ds.Rows, ds.Columns
    ds.Rows, ds.Columns = columns, rows
    ds.save_as(path)
    with pytest.warns(FileReadWarning, match=rf"compressed frame has {rows} x {columns}"):
        array, _ = load(path, color="rgb")
    np.testing.assert_array_equal(array, truth)


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_size_of_an_rle_frame_that_contradicts_the_header(tmp_path, write_dicom, keyword):
    path = write_dicom(tmp_path / "a.dcm", CLIP)
    ds = pydicom.dcmread(path)
    ds.compress(RLELossless)
    ds.save_as(path)
    np.testing.assert_array_equal(np.moveaxis(silently(path)[0], 2, 0), CLIP)
    change(path, **{keyword: 12})
    with pytest.warns(
        FileReadWarning, match=r"a\.dcm: a frame has \d+ pixels more than \d+ rows x \d+ columns"
    ) as warned:
        load(path)
    assert len([w for w in warned if w.category is FileReadWarning]) == 1
    change(path, **{keyword: 32})
    with pytest.raises(FileReadError, match=r"frame 0 of 3 cannot be decoded .*384 vs\. \d+ bytes"):
        load(path)


def test_values_above_bits_stored(tmp_path, write_dicom):
    deep = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: values have more than the 8 bits of BitsStored") as warned:
        array, _ = load(write_dicom(tmp_path / "a.dcm", np.stack([deep] * 3), bits=8))
    np.testing.assert_array_equal(array[..., 0], deep & 255)  # PS3.5 8.1.1: the unused bits may hold anything
    assert len([w for w in warned if w.category is FileReadWarning]) == 1


@pytest.mark.parametrize("high_bit", [11, 3, 0])
def test_high_bit_that_contradicts_bits_stored(tmp_path, write_dicom, high_bit):
    path = change(write_dicom(tmp_path / "a.dcm", GREY), HighBit=high_bit)
    with pytest.warns(FileReadWarning, match=rf"a\.dcm: HighBit is {high_bit}, but BitsStored 8"):
        array, _ = load(path)
    np.testing.assert_array_equal(array, GREY)


DEEP = GREY.astype(np.uint16)


@pytest.mark.parametrize(("stored", "high_bit", "pixels"), [(8, 15, DEEP * 256 + 3), (8, 11, DEEP * 16), (4, 7, DEEP)])
def test_high_bit_counts_if_values_do_not_fit_below(tmp_path, write_dicom, stored, high_bit, pixels):
    path = write_dicom(tmp_path / "a.dcm", pixels, bits=stored, HighBit=high_bit)
    with pytest.warns(FileReadWarning, match=rf"a\.dcm: HighBit is {high_bit}, but BitsStored {stored}"):
        array, _ = load(path)
    np.testing.assert_array_equal(array, GREY >> (8 - stored))


def test_bits_stored_below_those_of_a_compressed_frame(tmp_path, write_dicom):
    bright = np.full((16, 16), 200, dtype=np.uint8)
    path = change(write_dicom(tmp_path / "a.dcm", bright, "MONOCHROME1", jpeg=True), BitsStored=7, HighBit=6)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: BitsStored is 7, but a frame has 8 bits"):
        array, _ = load(path)
    assert abs(array.astype(int) - 55).max() <= 2


def test_bits_stored_above_those_of_a_compressed_frame(tmp_path, write_dicom):
    bright = np.full((16, 16), 200, dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", bright, jpeg=True)
    change(path, BitsAllocated=16, BitsStored=12, HighBit=11)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: BitsStored is 12, but a compressed frame has 8 bits"):
        array, _ = load(path)
    assert abs(array.astype(int) - 200).max() <= 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Rows": 0}, "Rows is 0"),
        ({"Rows": None}, "Rows is missing"),
        ({"Columns": [24, 24]}, r"Columns is \[24.0, 24.0\], expected one number"),
        ({"BitsAllocated": 12}, "BitsAllocated is 12 and BitsStored 8"),
        ({"BitsStored": 9}, "BitsAllocated is 8 and BitsStored 9"),
        ({"BitsStored": None}, "BitsStored is missing"),
        ({"SamplesPerPixel": 2}, "SamplesPerPixel is 2, but an image of type MONOCHROME2 has 1"),
        (
            {"SamplesPerPixel": 4, "PhotometricInterpretation": "ARGB"},
            "interpretation ARGB is not supported, only MONO",
        ),
        ({"PixelRepresentation": 1}, r"the pixels are signed \(Pixel Representation\)"),
        ({"PixelRepresentation": 2}, r"PixelRepresentation is 2, expected 0 \(unsigned\) or 1 \(signed\)"),
        ({"PixelRepresentation": None}, "PixelRepresentation is missing"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation is missing"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR, but the palette is missing"),
        ({"PhotometricInterpretation": "HSV"}, "interpretation HSV is not supported"),
        ({"PixelData": b""}, "the pixel data is empty"),
    ],
)
def test_layout_that_makes_no_sense_is_named(tmp_path, write_dicom, values, message):
    path = change(write_dicom(tmp_path / "a.dcm", GREY), **values)
    with pytest.raises(FileReadError, match=rf"a\.dcm: .*{message}") as error:
        load(path)
    assert "cut short?" not in str(error.value)


def test_planar_configuration(tmp_path, write_dicom):
    rgb = RNG.randint(0, 256, (16, 24, 3), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", rgb, "RGB")
    with pytest.raises(FileReadError, match="PlanarConfiguration is 2, expected 0 or 1"):
        load(change(path, PlanarConfiguration=2))
    with pytest.warns(FileReadWarning, match="PlanarConfiguration is missing"):
        array, _ = load(change(path, PlanarConfiguration=None), color="rgb")
    np.testing.assert_array_equal(array, rgb)
    with pytest.raises(FileReadError, match="SamplesPerPixel is 3, but an image of type MONOCHROME2 has 1"):
        load(change(path, PhotometricInterpretation="MONOCHROME2", PlanarConfiguration=0))
    with pytest.raises(FileReadError, match="YBR_RCT belongs to JPEG 2000"):
        load(change(path, PhotometricInterpretation="YBR_RCT"))
    with pytest.raises(FileReadError, match="has 1152 bytes, expected 768 of YBR_FULL_422: it is rather YBR_FULL"):
        load(change(path, PhotometricInterpretation="YBR_FULL_422"))
