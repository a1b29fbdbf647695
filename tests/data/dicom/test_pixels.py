# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""DICOM pixel data that contradicts its header, is compressed in an odd way, or is not there."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from monai.utils import OptionalImportError
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGExtended12Bit, RLELossless

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.dicom.encapsulation import split_frames
from monai_debias.data.dicom.image_stream import read_stream_header
from monai_debias.data.reading import FileReadError, FileReadWarning

RNG = np.random.RandomState(0)
GREY = RNG.randint(0, 256, (16, 24), dtype=np.uint8)
CLIP = RNG.randint(0, 256, (3, 16, 24), dtype=np.uint8)

# a dark image with a grey fan and a spot of colour, smooth enough for JPEG
_ROWS, _COLUMNS = np.mgrid[:48, :64]
SCAN = np.stack([np.where(abs(_COLUMNS - 32) < _ROWS / 2, _ROWS * 4, 0)] * 3, axis=-1).astype(np.uint8)
SCAN[30:38, 28:36] = (200, 40, 20)


def load(path, **kwargs):
    reader = UltrasoundReader(**kwargs)
    return reader.get_data(reader.read(path))


def silently(path, **kwargs):
    """Load a file that there is nothing to warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FileReadWarning)
        return load(path, **kwargs)


def change(path, **values):
    """Change elements of a file; None takes one out, and a DataElement comes as it is."""
    ds = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            del ds[keyword]
        elif isinstance(value, DataElement):
            ds[keyword] = value
        else:
            setattr(ds, keyword, value)
    ds.save_as(path)
    return path


def in_place_of(path, old, new):
    """Put bytes in the place of others of the same number, which pydicom would refuse to write."""
    content = Path(path).read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    Path(path).write_bytes(content.replace(old, new))
    return path


# ---------------------------------------------------------------- number of frames


@pytest.mark.parametrize("jpeg", [False, True])
@pytest.mark.parametrize("declared", [None, 0, 1, 2])
def test_more_frames_than_the_header_tells_of_are_all_read(tmp_path, write_dicom, jpeg, declared):
    path = change(write_dicom(tmp_path / "a.dcm", CLIP, jpeg=jpeg), NumberOfFrames=declared)
    said = declared or "missing"
    with pytest.warns(FileReadWarning, match=rf"a\.dcm: the pixel data holds 3 frames, but NumberOfFrames is {said}"):
        array, meta = load(path)
    assert array.shape == (16, 24, 3)
    assert meta["n_frames"] == 3
    truth, _ = silently(change(path, NumberOfFrames=3))
    np.testing.assert_array_equal(array, truth)


@pytest.mark.parametrize("jpeg", [False, True])
def test_fewer_frames_than_the_header_promises_are_an_error(tmp_path, write_dicom, jpeg):
    path = change(write_dicom(tmp_path / "a.dcm", CLIP, jpeg=jpeg), NumberOfFrames=4)
    for frames in ("all", "first"):
        with pytest.raises(FileReadError, match=r"a\.dcm: the pixel data h.* 4 frames.*: the file is cut short, or"):
            load(path, frames=frames)


@pytest.mark.parametrize("text", ["abc", "3\\3", "inf", "3.5", "-3", "1e9"])
def test_number_of_frames_that_is_no_number(tmp_path, write_dicom, text):
    path = write_dicom(tmp_path / "a.dcm", CLIP, NumberOfFrames="1234")
    in_place_of(path, b"IS\x04\x001234", b"IS\x04\x00" + text.ljust(4).encode())
    with pytest.raises(FileReadError, match=r"a\.dcm: (NumberOfFrames|the pixel data has)"):
        load(path)


@pytest.mark.parametrize("table", [[], "right", [0], [0, 0, 0], [0, 10**6, 10**7]], ids=str)
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_frames_are_found_in_their_fragments_with_any_table(tmp_path, write_dicom, table, pieces):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    truth, _ = silently(path)
    ds = pydicom.dcmread(path)
    streams = list(generate_frames(ds.PixelData, number_of_frames=3))
    items = encapsulate(streams, fragments_per_frame=pieces, has_bot=table == "right")
    if table != "right":  # an empty table is an item of 8 bytes
        offsets = np.asarray(table, dtype="<u4").tobytes()
        items = items[:4] + len(offsets).to_bytes(4, "little") + offsets + items[8:]
    ds.PixelData = items
    ds.save_as(path)
    np.testing.assert_array_equal(silently(path)[0], truth)
    np.testing.assert_array_equal(silently(path, frames=1)[0], truth[..., 1])


def test_fragments_that_do_not_tell_where_they_begin_need_the_table():
    frames = [b"no image" * 4, b"nor this" * 6]
    assert split_frames(encapsulate(frames, fragments_per_frame=2), 2) == frames
    assert split_frames(encapsulate(frames, has_bot=False), 2) == frames  # as many fragments as frames
    assert split_frames(encapsulate(frames, has_bot=False), 1) == [b"".join(frames)]
    with pytest.raises(FileReadError, match="points to byte 5, where none begins"):
        split_frames(encapsulate(frames).replace(b"\x28\0\0\0", b"\5\0\0\0"), 2)


def test_compressed_frames_that_are_none(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    change(path, PixelData=encapsulate([b"\1\2\3\4", b"\5\6\7\x08", b"\1\1\1\1"]))
    with pytest.raises(FileReadError, match=r"a\.dcm: frame 0 of 3 is not a JPEG, JPEG 2000 or RLE image"):
        load(path)


def test_pixels_that_are_not_compressed_though_the_header_says_so(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP)
    in_place_of(path, b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    with pytest.raises(FileReadError, match=r"a\.dcm: the compressed pixel data has no item at byte 0"):
        load(path)


def test_pixels_that_are_compressed_though_the_header_does_not_say_so(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    in_place_of(path, b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0")
    with pytest.raises(FileReadError, match="the pixel data is compressed, but the transfer syntax is Explicit"):
        load(path)


# ---------------------------------------------------------------- size


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
    said = rf"a\.dcm: the header tells of {size[0]} rows x {size[1]} columns, but the compressed frame has 16 x 24"
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


# ---------------------------------------------------------------- bits


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
    with pytest.raises(FileReadError, match="has 1152 bytes, 768 are YBR_FULL_422; it is YBR_FULL or RGB"):
        load(change(path, PhotometricInterpretation="YBR_FULL_422"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"RedPaletteColorLookupTableDescriptor": [256, 0]}, r"descriptor of the palette is \[256.0, 0.0\]"),
        ({"GreenPaletteColorLookupTableData": None}, "but GreenPaletteColorLookupTableData is missing"),
        ({"BluePaletteColorLookupTableData": b"\0" * 100}, "the palette has 50 of 256 entries"),
    ],
)
def test_palette_that_is_incomplete(tmp_path, values, message):
    path = tmp_path / "a.dcm"
    pydicom.dcmread(get_testdata_file("OBXXXX1A.dcm")).save_as(path)
    with pytest.raises(FileReadError, match=rf"a\.dcm: .*{message}"):
        load(change(path, **values))


@pytest.mark.parametrize(
    ("keyword", "message"),
    [("FloatPixelData", "which it has, is not"), ("OverlayData", "overlay only")],
)
def test_other_data_than_pixels(tmp_path, write_dicom, keyword, message):
    path = change(write_dicom(tmp_path / "a.dcm", GREY), PixelData=None)
    ds = pydicom.dcmread(path)
    if keyword == "OverlayData":
        ds.add_new(0x60003000, "OW", bytes(48))
    else:
        ds.FloatPixelData = np.zeros(384, dtype=np.float32).tobytes()
    ds.save_as(path)
    with pytest.raises(FileReadError, match=rf"a\.dcm: has no pixels .*{message}"):
        load(path)


# ---------------------------------------------------------------- colour of JPEG


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


# ---------------------------------------------------------------- codestreams


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
    if get_decoder(JPEGExtended12Bit).available_plugins != ("pillow",):
        pytest.skip("a plugin for 12 bits is installed")
    ds.Modality, ds.SOPClassUID = "US", "1.2.840.10008.5.1.4.1.1.6.1"
    ds.save_as(tmp_path / "a.dcm")
    with pytest.raises(OptionalImportError, match=r"a\.dcm: frame 0 .* 12 bits may need another plugin: .*pylibjpeg"):
        load(tmp_path / "a.dcm")


# ---------------------------------------------------------------- files


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
