# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Compressed frames: what their own header says, and the colours of a JPEG."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest
from monai.utils import OptionalImportError
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGExtended12Bit

from monai_debias.data.dicom.image_stream import has_whole_tables, read_stream_header
from monai_debias.data.reading import FileReadError, FileReadWarning
from tests.data.image_files import change, load, silently

# a dark image with a grey fan and a spot of colour, smooth enough for JPEG
_ROWS, _COLUMNS = np.mgrid[:48, :64]


SCAN = np.stack([np.where(abs(_COLUMNS - 32) < _ROWS / 2, _ROWS * 4, 0)] * 3, axis=-1).astype(np.uint8)


SCAN[30:38, 28:36] = (200, 40, 20)


def _jpeg(image, **options):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=95, **options)
    return stream.getvalue()


def _without_markers(stream, identifiers=b"\1\2\3"):
    """Take the JFIF and Adobe segments out, and give the components other names."""
    parts, offset = [stream[:2]], 2
    while stream[offset + 1] != 0xDA:
        length = 2 + int.from_bytes(stream[offset + 2 : offset + 4], "big")
        segment = bytearray(stream[offset : offset + length])
        if segment[1] == 0xC0:
            segment[10:19:3] = identifiers
        if segment[1] not in (0xE0, 0xEE):
            parts.append(bytes(segment))
        offset += length
    scan = bytearray(stream[offset:])
    scan[5:11:2] = identifiers
    return b"".join([*parts, bytes(scan)])


_ADOBE = {n: b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([n]) for n in (0, 1, 2)}


_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def _marked(stream, marker):
    return stream[:2] + marker + stream[2:]


def write_color_jpeg(path, write_dicom, stream, label):
    write_dicom(path, SCAN, label, jpeg=True)
    change(path, PixelData=encapsulate([stream]))
    return path


def check_scan(array):
    """The image is the one that was encoded, and black is 0."""
    assert np.abs(array.astype(int) - SCAN).mean() < 2
    np.testing.assert_array_equal(array[:8, :16], 0)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL_422", "YBR_FULL"])
@pytest.mark.parametrize(
    ("stored", "identifiers", "marker", "claim"),
    [
        ("YBR", b"\1\2\3", _JFIF, "YBR"),
        ("YBR", b"\1\2\3", _ADOBE[1], "YBR"),
        ("YBR", b"\0\1\2", _ADOBE[1], "YBR"),
        ("RGB", b"\1\2\3", _ADOBE[0], "RGB"),
        ("RGB", b"\0\1\2", _ADOBE[0], "RGB"),
        ("RGB", b"RGB", b"", "RGB"),
    ],
)
def test_colors_of_a_jpeg_are_those_of_its_marker(tmp_path, write_dicom, label, stored, identifiers, marker, claim):
    stream = _marked(_without_markers(_jpeg(SCAN, keep_rgb=stored == "RGB"), identifiers), marker)
    path = write_color_jpeg(tmp_path / "a.dcm", write_dicom, stream, label)
    if label.startswith(claim):
        array, _ = silently(path, color="rgb")
    else:
        with pytest.warns(
            FileReadWarning, match=rf"a\.dcm: the header says {label}, but the compressed frame is {claim}"
        ):
            array, _ = load(path, color="rgb")
    check_scan(array)
    truth = np.asarray(Image.open(io.BytesIO(stream)))  # libjpeg's own conversion rounds in another way
    assert np.abs(array.astype(int) - truth).max() <= 2


@pytest.mark.parametrize("stored", ["YBR", "RGB"])
def test_jpeg_without_a_marker_and_labelled_rgb_goes_by_its_colors(tmp_path, write_dicom, stored):
    stream = _without_markers(_jpeg(SCAN, keep_rgb=stored == "RGB"))
    path = write_color_jpeg(tmp_path / "a.dcm", write_dicom, stream, "RGB")
    said = rf"a\.dcm: the header says RGB, an unmarked JPEG is YBR; by their colours they are {stored}"
    with pytest.warns(FileReadWarning, match=said):
        array, _ = load(path, color="rgb")
    check_scan(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FileReadWarning)
        assert load(path)[0][0, 0] == 0


def test_jpeg_without_a_marker_goes_by_its_label_if_nothing_contradicts_it(tmp_path, write_dicom):
    stream = _without_markers(_jpeg(SCAN))
    check_scan(silently(write_color_jpeg(tmp_path / "a.dcm", write_dicom, stream, "YBR_FULL_422"), color="rgb")[0])
    stream = _without_markers(_jpeg(SCAN, keep_rgb=True), b"\0\1\2")
    check_scan(silently(write_color_jpeg(tmp_path / "b.dcm", write_dicom, stream, "RGB"), color="rgb")[0])


def test_components_that_contradict_the_header(tmp_path, write_dicom):
    path = write_color_jpeg(tmp_path / "a.dcm", write_dicom, _jpeg(SCAN[..., 0]), "RGB")
    with pytest.raises(FileReadError, match="SamplesPerPixel is 3, but the compressed frame has 1 components"):
        load(path)


def test_stream_header():
    jpeg = read_stream_header(_jpeg(SCAN))
    assert jpeg == (48, 64, 3, 8, "YBR")
    frame = next(generate_frames(pydicom.dcmread(get_testdata_file("US1_J2KR.dcm")).PixelData, number_of_frames=1))
    assert read_stream_header(frame) == (480, 640, 3, 8, "RGB")
    lossless = pydicom.dcmread(get_testdata_file("JPEGLSNearLossless_16.dcm"))
    frame = next(generate_frames(lossless.PixelData, number_of_frames=1))
    assert read_stream_header(frame)[:4] == (lossless.Rows, lossless.Columns, 1, lossless.BitsStored)
    for size in range(len(frame)):
        read_stream_header(frame[: min(size, 200)])  # never an error


@pytest.mark.parametrize("box", [b"\0\0\0\0free", b"\0\0\0\x10freeabcdefgh"])
def test_jpeg_2000_in_a_jp2_file(tmp_path, box):
    """pydicom would look for the end of a box of length 0 for ever."""
    ds = pydicom.dcmread(get_testdata_file("US1_J2KR.dcm"))
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    ds.PixelData = encapsulate([b"\0\0\0\x0cjP  \r\n\x87\n" + box + frame])
    ds.save_as(tmp_path / "a.dcm")
    array, _ = silently(tmp_path / "a.dcm", color="rgb")
    np.testing.assert_array_equal(array, silently(get_testdata_file("US1_J2KR.dcm"), color="rgb")[0])


def test_12_bit_jpeg_names_the_plugins_that_may_help(tmp_path, write_dicom):
    ds = pydicom.dcmread(get_testdata_file("JPEG-lossy.dcm"))
    if "pylibjpeg" in get_decoder(JPEGExtended12Bit).available_plugins:
        pytest.skip("a plugin for 12 bits is installed")
    ds.Modality, ds.SOPClassUID = "US", "1.2.840.10008.5.1.4.1.1.6.1"
    ds.save_as(tmp_path / "a.dcm")
    with pytest.raises(OptionalImportError, match=r"a\.dcm: frame 0 .* 12 bits may need another plugin: .*pylibjpeg"):
        load(tmp_path / "a.dcm")


def test_tables_of_whole_files():
    for name in (
        "JPEG-LL.dcm",
        "JPEG-lossy.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "US1_J2KR.dcm",
    ):
        assert has_whole_tables(stream_of(name))


@pytest.mark.parametrize(
    ("marker", "place", "values"),
    [
        (b"\xff\xc3", 9, b"\x02"),  # components, of which there is one
        (b"\xff\xc4", 3, b"\x07"),  # length of the tables
        (b"\xff\xc4", 5, b"\x09"),  # how many codes have one bit
        (b"\xff\xda", 7, b"\x00"),  # a predictor
        (b"\xff\xda", 7, b"\x08"),
        (b"\xff\xda", 0, b""),
    ],
)
def test_damage_before_the_pixels(marker, place, values):
    stream = bytearray(stream_of("JPEG-LL.dcm"))
    start = stream.index(marker) + place
    stream[start : start + 1] = values
    assert not has_whole_tables(bytes(stream))


def test_a_damaged_film_does_not_end_the_process(tmp_path):
    """GDCM calls abort() where tables are not whole: the file is named, and the others can be read."""
    ds = pydicom.dcmread(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    ds.Modality, ds.SOPClassUID = "US", "1.2.840.10008.5.1.4.1.1.6.1"
    stream = bytearray(stream_of("SC_rgb_jpeg_gdcm.dcm"))
    start = stream.index(b"\xff\xc4") + 5
    del stream[start : start + 2]
    ds.PixelData = encapsulate([bytes(stream)])
    ds.save_as(tmp_path / "a.dcm")
    with pytest.raises(
        FileReadError,
        match=r"a\.dcm: frame 0 of 1 cannot be decoded \(it is damaged before its pixels begin\)",
    ):
        load(tmp_path / "a.dcm")


def stream_of(name):
    return next(generate_frames(pydicom.dcmread(get_testdata_file(name)).PixelData, number_of_frames=1))
