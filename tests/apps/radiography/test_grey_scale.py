# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The grey scale of films, against the formulas of DICOM PS3.3 worked out here, and against pydicom on real files."""

from __future__ import annotations

import io

import gdcm
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi
from pydicom.uid import JPEG2000Lossless, RLELossless

from monai_debias.data import FileReadError, FileReadWarning
from tests.apps.radiography import films

STORED = np.arange(4096, dtype=np.uint16).reshape(64, 64)
SIGNED = (np.arange(4096) - 2048).astype(np.int16).reshape(64, 64)
BLACK_TO_WHITE = np.arange(4096).reshape(64, 64) / 4095


def load(path):
    return films.load(path)[0]


def silently(path):
    return films.load_silently(path)[0]


def assert_film(film, expected):
    assert film.dtype == np.float32
    np.testing.assert_allclose(film, expected, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_bits_stored_are_the_range(tmp_path, write_film, bits, photometric):
    values = np.linspace(0, 2**bits - 1, 16 * 24).reshape(16, 24).astype(np.uint8 if bits == 8 else np.uint16)
    film = silently(write_film(tmp_path / "a.dcm", values, photometric, bits=bits))
    grey = values / (2**bits - 1)
    assert_film(film, 1 - grey if photometric == "MONOCHROME1" else grey)


def test_signed(tmp_path, write_film):
    assert_film(silently(write_film(tmp_path / "a.dcm", SIGNED, bits=12)), BLACK_TO_WHITE)
    assert_film(silently(write_film(tmp_path / "a.dcm", SIGNED, "MONOCHROME1", bits=12)), 1 - BLACK_TO_WHITE)


def test_signed_without_the_sign_in_the_upper_bits(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", SIGNED & 0xFFF, bits=12)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: values have more than the 12 bits"):
        assert_film(load(path), BLACK_TO_WHITE)


def window(x, center, width):
    """Equation of PS3.3 C.11.2.1.2.1 for an output from 0 to 1."""
    return np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000, 500), (3000.5, 3000)])
def test_window(tmp_path, write_film, center, width):
    path = write_film(tmp_path / "a.dcm", STORED, bits=12, WindowCenter=center, WindowWidth=width)
    assert_film(silently(path), window(STORED.astype(float), center, width))


def test_window_of_width_1_is_a_threshold(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", STORED, "MONOCHROME1", bits=12, WindowCenter=2048, WindowWidth=1)
    assert_film(silently(path), STORED < 2048)


def test_the_other_functions_of_a_window(tmp_path, write_film):
    header = {"bits": 12, "WindowCenter": 2000, "WindowWidth": 1000}
    exact = silently(write_film(tmp_path / "a.dcm", STORED, VOILUTFunction="LINEAR_EXACT", **header))
    assert_film(exact, np.clip((STORED - 2000.0) / 1000 + 0.5, 0, 1))
    sigmoid = silently(write_film(tmp_path / "a.dcm", STORED, VOILUTFunction="SIGMOID", **header))
    assert_film(sigmoid, 1 / (1 + np.exp(-4 * (STORED - 2000.0) / 1000)))


def test_of_several_windows_the_first_or_the_one_asked_for(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", STORED, bits=12, WindowCenter=[1000, 2000], WindowWidth=[500, 4000])
    assert_film(silently(path), window(STORED.astype(float), 1000, 500))
    assert_film(films.load_silently(path, window=1)[0], window(STORED.astype(float), 2000, 4000))
    with pytest.raises(FileReadError, match=r"a\.dcm: WindowWidth has 2 entries, and window=2 asks for the one at"):
        films.load(path, window=2)


def test_of_several_voi_tables_the_first_or_the_one_asked_for(tmp_path, write_film, table):
    curves = [np.arange(4096), np.arange(4096)[::-1] // 16]
    tables = [table(curves[0], bits=12), table(curves[1], bits=8)]
    path = write_film(tmp_path / "a.dcm", STORED, bits=12, VOILUTSequence=tables)
    assert_film(silently(path), BLACK_TO_WHITE)
    assert_film(films.load_silently(path, window=1)[0], (curves[1] / 255).reshape(64, 64))
    with pytest.raises(FileReadError, match=r"a\.dcm: VOILUTSequence has 2 entries, and window=2 asks"):
        films.load(path, window=2)


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")])
def test_the_presentation_lut_shape_is_not_a_second_inversion(tmp_path, write_film, photometric, shape):
    path = write_film(tmp_path / "a.dcm", STORED, photometric, bits=12, PresentationLUTShape=shape)
    assert_film(silently(path), BLACK_TO_WHITE if shape == "IDENTITY" else 1 - BLACK_TO_WHITE)


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_a_presentation_lut_shape_that_contradicts_the_type_is_told(tmp_path, write_film, photometric, shape):
    path = write_film(tmp_path / "a.dcm", STORED, photometric, bits=12, PresentationLUTShape=shape)
    with pytest.warns(FileReadWarning, match=rf"a\.dcm: PresentationLUTShape is {shape}, .* {photometric}: the latter"):
        assert_film(load(path), BLACK_TO_WHITE if photometric == "MONOCHROME2" else 1 - BLACK_TO_WHITE)


@pytest.mark.parametrize(("slope", "intercept"), [(2, -1000), (0.5, 0), (-1, 4095)])
def test_window_is_in_rescaled_units(tmp_path, write_film, slope, intercept):
    path = write_film(
        tmp_path / "a.dcm",
        STORED,
        bits=12,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=800,
        WindowWidth=900,
    )
    assert_film(silently(path), window(STORED * float(slope) + intercept, 800, 900))


@pytest.mark.parametrize("slope", [2, -2])
def test_rescale_alone_says_which_end_is_white(tmp_path, write_film, slope):
    path = write_film(tmp_path / "a.dcm", STORED, bits=12, RescaleSlope=slope, RescaleIntercept=7)
    assert_film(silently(path), BLACK_TO_WHITE if slope > 0 else 1 - BLACK_TO_WHITE)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_voi_table_counts_before_the_window(tmp_path, write_film, table, bits):
    """Also one of 8 bits for more than 256 values, where pydicom 3.0 wraps around."""
    curve = np.round((np.arange(4096) / 4095) ** 2 * (2**bits - 1))
    header = {"VOILUTSequence": [table(curve, bits=bits)], "WindowCenter": 1}  # of a window of unknown width
    film = silently(write_film(tmp_path / "a.dcm", STORED, bits=12, **header))
    assert_film(film, (curve / (2**bits - 1)).reshape(64, 64))


def test_voi_table_after_a_rescale_and_beyond_its_ends(tmp_path, write_film, table):
    lut = table(np.arange(1000) * 4, first=-200, bits=12)
    header = {"VOILUTSequence": [lut], "RescaleSlope": 1, "RescaleIntercept": -1000}
    film = silently(write_film(tmp_path / "a.dcm", STORED, "MONOCHROME1", bits=12, **header))
    assert_film(film, 1 - np.clip(STORED - 1000.0 + 200, 0, 999) * 4 / 4095)


def test_modality_table_of_a_real_signed_film():
    """Its upper bits hold something else."""
    path = get_testdata_file("mlut_18.dcm")
    ds = pydicom.dcmread(path)
    with pytest.warns(FileReadWarning, match="12 bits"):
        assert_film(load(path), apply_modality_lut(ds.pixel_array, ds) / 65535)


def test_voi_table_of_a_real_film():
    path = get_testdata_file("vlut_04.dcm")
    ds = pydicom.dcmread(path)
    assert_film(silently(path), apply_voi(ds.pixel_array, ds) / 65535)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(tmp_path, write_film, photometric):
    header = {"bits": 12, "PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}
    film = silently(write_film(tmp_path / "a.dcm", STORED, photometric, **header))
    grey = 1 - BLACK_TO_WHITE if photometric == "MONOCHROME1" else BLACK_TO_WHITE
    assert_film(film, np.where(STORED >= 4000, 0, grey))


def test_padding_value_of_signed_pixels_that_is_written_without_sign(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", SIGNED, bits=12)
    ds = pydicom.dcmread(path)
    ds.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    ds.save_as(path)
    assert_film(silently(path), np.where(SIGNED == -2000, 0, BLACK_TO_WHITE))


def test_padding_value_that_no_pixel_can_have(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", STORED, bits=12, PixelPaddingValue=65535)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: PixelPaddingValue is 65535, .* unknown"):
        assert_film(load(path), BLACK_TO_WHITE)


def test_overlay_planes_are_left_out(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", STORED, bits=12)
    ds = pydicom.dcmread(path)
    for element, vr, value in ((0x10, "US", 64), (0x11, "US", 64), (0x40, "CS", "G"), (0x50, "SS", [1, 1])):
        ds.add_new((0x6000, element), vr, value)
    for element, value in ((0x100, 1), (0x102, 0)):
        ds.add_new((0x6000, element), "US", value)
    ds.add_new((0x6000, 0x3000), "OW", b"\xff" * 512)
    ds.save_as(path)
    assert_film(silently(path), BLACK_TO_WHITE)


def test_overlay_in_the_upper_bits_is_left_out(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", STORED | np.uint16(0x8000), bits=12)
    with pytest.warns(FileReadWarning, match=r"a\.dcm: values have more than the 12 bits"):
        assert_film(load(path), BLACK_TO_WHITE)


@pytest.mark.parametrize("pixels", [STORED, SIGNED])
def test_rle(tmp_path, write_film, pixels):
    ds = pydicom.dcmread(write_film(tmp_path / "a.dcm", pixels, "MONOCHROME1", bits=12))
    ds.compress(RLELossless)
    ds.save_as(tmp_path / "a.dcm")
    assert_film(silently(tmp_path / "a.dcm"), 1 - BLACK_TO_WHITE)


def test_jpeg_2000(tmp_path, write_film):
    ds = pydicom.dcmread(write_film(tmp_path / "a.dcm", STORED << np.uint16(4), "MONOCHROME1"))
    stream = io.BytesIO()
    Image.fromarray(STORED << np.uint16(4)).save(stream, format="JPEG2000", no_jp2=True)
    ds.PixelData = encapsulate([stream.getvalue()])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.save_as(tmp_path / "a.dcm")
    assert_film(silently(tmp_path / "a.dcm"), 1 - (STORED << np.uint16(4)) / 65535)


SYNTAXES = gdcm.TransferSyntax


@pytest.mark.parametrize(
    "syntax", [SYNTAXES.JPEGLosslessProcess14, SYNTAXES.JPEGLosslessProcess14_1, SYNTAXES.JPEGLSLossless]
)
@pytest.mark.parametrize(
    ("pixels", "bits"), [(STORED, 12), (STORED << np.uint16(4), 16), (SIGNED, 12), (STORED >> 4, 8)]
)
def test_lossless_jpeg_as_archives_keep_it(tmp_path, write_film, syntax, pixels, bits):
    stored = pixels.astype(np.uint8) if bits == 8 else pixels
    path = write_film(tmp_path / "a.dcm", stored, "MONOCHROME1", bits=bits)
    film = silently(path)
    transcode(path, syntax)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(silently(path), film)


def transcode(path, syntax):
    """Compress a file in place, by GDCM."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetImage(change.GetOutput())
    writer.SetFile(reader.GetFile())
    writer.SetFileName(str(path))
    assert writer.Write()


def test_jpeg_baseline(tmp_path, write_film):
    rows, columns = np.mgrid[:64, :64]
    values = (rows * 2 + columns).astype(np.uint8)
    film = silently(write_film(tmp_path / "a.dcm", values, "MONOCHROME1", jpeg=True))
    np.testing.assert_allclose(film, 1 - values / 255, atol=4 / 255)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"WindowWidth": 300}, "WindowCenter is missing: WindowWidth and"),
        ({"WindowWidth": 0, "WindowCenter": 5}, "Window Width must be greater than"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "RescaleSlope is 0"),
        ({"RescaleIntercept": 1}, "RescaleSlope is missing: RescaleSlope and"),
        ({"RescaleSlope": 1e-9, "RescaleIntercept": 1e15}, "leave no greys between black and white"),
        ({"WindowWidth": 10, "WindowCenter": 1e9}, "leave no greys between black and white"),
        ({"WindowWidth": 1e9, "WindowCenter": 2000}, "leave no greys between black and white"),
    ],
)
def test_a_grey_scale_that_makes_no_sense_is_refused(tmp_path, write_film, header, message):
    with pytest.raises(FileReadError, match=rf"a\.dcm: .*{message}"):
        load(write_film(tmp_path / "a.dcm", STORED, bits=12, **header))


def test_incomplete_tables_are_refused(tmp_path, write_film, table):
    lut = table(range(4096))
    del lut.LUTData
    with pytest.raises(FileReadError, match=r"a\.dcm: the table of VOILUTSequence is incomplete"):
        load(write_film(tmp_path / "a.dcm", STORED, bits=12, VOILUTSequence=[lut]))
    lut = table(range(4096), bits=0)
    with pytest.raises(FileReadError, match=r"a\.dcm: .*0.* bits per LUT entry"):
        load(write_film(tmp_path / "a.dcm", STORED, bits=12, VOILUTSequence=[lut]))


def test_more_bits_than_a_film_has(tmp_path, write_film):
    with pytest.raises(FileReadError, match=r"a\.dcm: BitsStored is 32, a radiograph has at most 16"):
        load(write_film(tmp_path / "a.dcm", STORED.astype(np.uint32)))
