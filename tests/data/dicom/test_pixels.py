# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""DICOM pixel data that contradicts its header, is compressed in an odd way, or is not there."""

from __future__ import annotations

# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from monai_debias.data.reading import FileReadError
from tests.data.image_files import GREY, RGB, change, load, luminance


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


CLIP = get_testdata_file("examples_ybr_color.dcm")


def test_monochrome2_is_kept(tmp_path, write_dicom):
    array, meta = load(write_dicom(tmp_path / "a.dcm", GREY))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, GREY)
    assert tuple(meta["spatial_shape"]) == (16, 24)
    assert np.isnan(meta["original_channel_dim"])


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (7, 127)])
def test_monochrome1_is_inverted(tmp_path, write_dicom, bits, top):
    pixels = GREY >> (8 - bits)
    array, _ = load(write_dicom(tmp_path / "a.dcm", pixels, "MONOCHROME1", bits=bits))
    np.testing.assert_array_equal(array, top - pixels)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_more_than_8_bits_are_mapped_to_255(tmp_path, write_dicom, bits, photometric):
    pixels = np.linspace(0, 2**bits - 1, 16 * 24).reshape(16, 24).astype(np.uint16)
    array, _ = load(write_dicom(tmp_path / "a.dcm", pixels, photometric, bits=bits))
    expected = pixels / (2**bits - 1) * 255
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, 255 - expected if photometric == "MONOCHROME1" else expected, atol=1e-4)


def test_8_bits_in_16_are_kept(tmp_path, write_dicom):
    array, _ = load(write_dicom(tmp_path / "a.dcm", GREY.astype(np.uint16), bits=8))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, GREY)


def test_rgb(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", RGB, "RGB")
    array, meta = load(path, color="rgb")
    np.testing.assert_array_equal(array, RGB)
    assert meta["original_channel_dim"] == -1
    grey, _ = load(path)
    assert grey.dtype == np.uint8
    np.testing.assert_allclose(grey, luminance(RGB), atol=0.5)


def test_grey_stored_as_rgb_gives_its_own_values(tmp_path, write_dicom):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    array, _ = load(write_dicom(tmp_path / "a.dcm", np.stack([values] * 3, axis=-1), "RGB"))
    np.testing.assert_array_equal(array, values)


def test_ybr_full_uncompressed(tmp_path, write_dicom):
    from pydicom.pixels import convert_color_space

    path = write_dicom(tmp_path / "a.dcm", convert_color_space(RGB, "RGB", "YBR_FULL"), "YBR_FULL")
    array, _ = load(path, color="rgb")
    assert np.abs(array.astype(int) - RGB).max() <= 2


@pytest.mark.filterwarnings("ignore:an ultrasound region reaches")
def test_real_jpeg_clip_agrees_with_pydicom():
    truth = pydicom.dcmread(CLIP).pixel_array  # (frames, rows, columns, 3), RGB
    array, meta = load(CLIP, color="rgb")
    assert array.shape == (240, 320, 30, 3)
    np.testing.assert_array_equal(np.moveaxis(array, 2, 0), truth)
    grey, _ = load(CLIP)
    assert grey.shape == (240, 320, 30)
    np.testing.assert_allclose(np.moveaxis(grey, 2, 0), luminance(truth), atol=0.5)
    assert meta["n_frames"] == 30
    assert meta["frame_time"] == pytest.approx(33.333)


@pytest.mark.parametrize(
    "name",
    [
        "examples_rgb_color.dcm",
        "examples_jpeg2k.dcm",
        "US1_UNCR.dcm",
        "US1_UNCI.dcm",
        "US1_J2KR.dcm",
        "US1_J2KI.dcm",
        "ExplVR_BigEnd.dcm",
        "color-pl.dcm",
        "color-px.dcm",
    ],
)
def test_real_color_stills_agree_with_pydicom(name):
    path = get_testdata_file(name)
    array, _ = load(path, color="rgb")
    np.testing.assert_array_equal(array, pydicom.dcmread(path).pixel_array)


def test_compressed_and_plain_versions_of_one_image_agree():
    plain, _ = load(get_testdata_file("US1_UNCR.dcm"))
    lossless, _ = load(get_testdata_file("US1_J2KR.dcm"))
    lossy, _ = load(get_testdata_file("US1_J2KI.dcm"))
    np.testing.assert_array_equal(plain, lossless)
    assert np.abs(plain.astype(int) - lossy).mean() < 2


def test_own_jpeg_multiframe(tmp_path, write_dicom):
    rows, columns = np.mgrid[:64, :64]
    frames = np.stack([(rows * 2 + columns + 5 * n).astype(np.uint8) for n in range(4)])
    array, meta = load(write_dicom(tmp_path / "a.dcm", frames, jpeg=True))
    assert array.shape == (64, 64, 4)
    assert meta["n_frames"] == 4
    assert np.abs(np.moveaxis(array, -1, 0).astype(int) - frames).max() <= 6


@pytest.mark.parametrize(
    ("name", "keep"),
    [
        ("US1_UNCR.dcm", 0.97),
        ("US1_UNCR.dcm", 0.2),
        ("examples_ybr_color.dcm", 0.97),
        ("examples_ybr_color.dcm", 0.2),
        ("OBXXXX1A_rle_2frame.dcm", 0.97),
        ("US1_J2KI.dcm", 0.5),
        ("OBXXXX1A_2frame.dcm", 0.5),
    ],
)
@pytest.mark.filterwarnings("ignore:End of file reached", "ignore:an ultrasound region")
def test_truncated_file(tmp_path, name, keep):
    content = Path(get_testdata_file(name)).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(content[: int(len(content) * keep)])
    for frames in ("all", "first"):
        with pytest.raises(ValueError, match=r"cut\.dcm: .*cut short"):
            load(path, frames=frames)


def test_fewer_compressed_frames_than_promised(tmp_path, write_dicom):
    frames = np.zeros((3, 16, 16), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", frames, jpeg=True, NumberOfFrames=3)
    ds = pydicom.dcmread(path)
    ds.NumberOfFrames = 5
    ds.save_as(path)
    for kwargs in ({"frames": "all"}, {"frames": -1}):
        with pytest.raises(ValueError, match="cut short"):
            load(path, **kwargs)


def test_damaged_jpeg_frame_names_what_each_decoder_says(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((1, 16, 16), dtype=np.uint8), jpeg=True)
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate([b"\xff\xd8\xff" + b"\0" * 40])
    ds.save_as(path)
    with pytest.raises(ValueError, match=r"a\.dcm: frame 0 of 1 cannot be decoded \(pillow: .*; it is damaged before"):
        load(path)


def test_signed_pixels_and_unknown_color_spaces_are_refused(tmp_path, write_dicom):
    with pytest.raises(ValueError, match="signed"):
        load(write_dicom(tmp_path / "a.dcm", GREY, PixelRepresentation=1))
    with pytest.raises(ValueError, match="YBR_PARTIAL_420"):
        load(write_dicom(tmp_path / "b.dcm", RGB, "YBR_PARTIAL_420"))
