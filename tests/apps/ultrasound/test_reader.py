# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import json
import pickle
from pathlib import Path

import numpy as np
import pydicom
import pytest
from monai.utils import OptionalImportError
from PIL import Image
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.frame_index import frame_index
from monai_debias.data.reading import FileReadError, FileReadWarning

CLIP = get_testdata_file("examples_ybr_color.dcm")
RNG = np.random.RandomState(0)
GREY = RNG.randint(0, 256, (16, 24), dtype=np.uint8)
RGB = RNG.randint(0, 256, (16, 24, 3), dtype=np.uint8)


def load(path, **kwargs):
    reader = UltrasoundReader(**kwargs)
    return reader.get_data(reader.read(path))


def luminance(rgb):
    return rgb @ np.array([0.299, 0.587, 0.114])


# ---------------------------------------------------------------- DICOM: values


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


@pytest.mark.parametrize("name", ["examples_palette.dcm", "OBXXXX1A.dcm", "gdcm-US-ALOKA-16.dcm"])
@pytest.mark.filterwarnings("ignore:an ultrasound region reaches")
def test_palette_agrees_with_pydicom(name):
    ds = pydicom.dcmread(get_testdata_file(name))
    truth = pydicom.pixels.apply_color_lut(ds.pixel_array, ds) >> 8
    array, _ = load(get_testdata_file(name), color="rgb")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, truth)


@pytest.mark.parametrize("clip", ["", "_2frame"])
def test_palette_does_not_depend_on_byte_order_or_compression(clip):
    plain, meta = load(get_testdata_file(f"OBXXXX1A{clip}.dcm"), color="rgb")
    assert plain.max() == 255
    assert meta["n_frames"] == (2 if clip else 1)
    for variant in ("_expb", "_rle"):
        array, _ = load(get_testdata_file(f"OBXXXX1A{variant}{clip}.dcm"), color="rgb")
        np.testing.assert_array_equal(array, plain)


def test_16_bit_palette_of_a_big_endian_file(tmp_path):
    table = RNG.randint(0, 2**16, (256, 3))
    for name, dtype in (("OBXXXX1A.dcm", "<u2"), ("OBXXXX1A_expb.dcm", ">u2")):
        ds = pydicom.dcmread(get_testdata_file(name))
        for i, color in enumerate(("Red", "Green", "Blue")):
            ds[f"{color}PaletteColorLookupTableData"].value = table[:, i].astype(dtype).tobytes()
        ds.save_as(tmp_path / name)
        array, _ = load(tmp_path / name, color="rgb")
        np.testing.assert_array_equal(array, table[ds.pixel_array] >> 8)


def test_palette_with_offset_and_8_bit_entries(tmp_path, write_dicom):
    table = RNG.randint(0, 256, (4, 3), dtype=np.uint8)
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 4)
    lut = {"RedPaletteColorLookupTableDescriptor": [4, 2, 8]}
    lut |= {f"{c}PaletteColorLookupTableData": table[:, i].tobytes() for i, c in enumerate(("Red", "Green", "Blue"))}
    path = write_dicom(tmp_path / "a.dcm", pixels, "PALETTE COLOR", **lut)
    array, _ = load(path, color="rgb")
    np.testing.assert_array_equal(array.reshape(8, 3), table[[0, 0, 0, 1, 2, 3, 3, 3]])


def test_own_jpeg_multiframe(tmp_path, write_dicom):
    rows, columns = np.mgrid[:64, :64]
    frames = np.stack([(rows * 2 + columns + 5 * n).astype(np.uint8) for n in range(4)])
    array, meta = load(write_dicom(tmp_path / "a.dcm", frames, jpeg=True))
    assert array.shape == (64, 64, 4)
    assert meta["n_frames"] == 4
    assert np.abs(np.moveaxis(array, -1, 0).astype(int) - frames).max() <= 6


# ---------------------------------------------------------------- DICOM: frames


@pytest.mark.filterwarnings("ignore:an ultrasound region reaches")
@pytest.mark.parametrize(("frames", "index"), [("middle", 15), ("first", 0), (7, 7), (-1, 29)])
def test_one_frame_is_that_of_the_clip(frames, index):
    clip, _ = load(CLIP)
    still, meta = load(CLIP, frames=frames)
    np.testing.assert_array_equal(still, clip[..., index])
    assert tuple(meta["spatial_shape"]) == (240, 320)
    assert meta["n_frames"] == 30


def test_clip_of_one_frame_is_a_still(tmp_path, write_dicom):
    array, meta = load(write_dicom(tmp_path / "a.dcm", GREY[None], clip=True))
    assert array.shape == GREY.shape
    assert meta["n_frames"] == 1


@pytest.mark.parametrize("frames", [30, -31])
def test_frame_out_of_range_names_the_number_of_frames(frames):
    with pytest.raises(ValueError, match="there are 30 frames"):
        load(CLIP, frames=frames)


def test_frame_index():
    assert [frame_index("middle", n) for n in (1, 2, 3, 30)] == [0, 1, 1, 15]
    assert frame_index(-2, 3) == 1
    with pytest.raises(ValueError, match="there are 3 frames"):
        frame_index(3, 3)


# ---------------------------------------------------------------- DICOM: meta


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
    assert set(meta) <= known | {"original_channel_dim"}


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


# ---------------------------------------------------------------- DICOM: errors


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


def test_damaged_jpeg_frame(tmp_path, write_dicom):
    from pydicom.encaps import encapsulate

    path = write_dicom(tmp_path / "a.dcm", np.zeros((1, 16, 16), dtype=np.uint8), jpeg=True)
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate([b"\xff\xd8\xff" + b"\0" * 40])
    ds.save_as(path)
    with pytest.raises(ValueError, match=r"a\.dcm: frame 0 of 1 cannot be decoded"):
        load(path)


def test_unsupported_compression_names_the_plugin():
    path = get_testdata_file("JPGLosslessP14SV1_1s_1f_8b.dcm")
    if pydicom.pixels.get_decoder(pydicom.dcmread(path).file_meta.TransferSyntaxUID).is_available:
        pytest.skip("a plugin for lossless JPEG is installed")
    with pytest.raises(OptionalImportError, match=r"1f_8b\.dcm: .*JPEG Lossless.*install one of: .*pylibjpeg"):
        load(path)


def test_signed_pixels_and_unknown_color_spaces_are_refused(tmp_path, write_dicom):
    with pytest.raises(ValueError, match="signed"):
        load(write_dicom(tmp_path / "a.dcm", GREY, PixelRepresentation=1))
    with pytest.raises(ValueError, match="YBR_PARTIAL_420"):
        load(write_dicom(tmp_path / "b.dcm", RGB, "YBR_PARTIAL_420"))


def test_not_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"notes\.txt: is not a DICOM file"):
        load(tmp_path / "notes.txt")


def test_missing_file_directory_and_several_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.dcm: no such file"):
        load(tmp_path / "gone.dcm")
    with pytest.raises(IsADirectoryError, match="expected a file"):
        load(tmp_path)
    with pytest.raises(ValueError, match="expected one file per item, got 2"):
        load([CLIP, CLIP])


# ---------------------------------------------------------------- stills


def test_png_and_npy_agree_with_dicom(tmp_path, write_dicom):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", GREY)
    write_dicom(tmp_path / "a.dcm", GREY)
    for suffix in ("png", "npy", "dcm"):
        array, meta = load(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(array, GREY)
        assert array.dtype == np.uint8
        assert json.loads(meta["ultrasound_regions"]) == []
        np.testing.assert_array_equal(meta["affine"], np.eye(4))


def test_color_stills(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    Image.fromarray(RGB).convert("RGBA").save(tmp_path / "b.png")
    np.save(tmp_path / "a.npy", RGB)
    for name in ("a.png", "b.png", "a.npy"):
        np.testing.assert_array_equal(load(tmp_path / name, color="rgb")[0], RGB)
        np.testing.assert_allclose(load(tmp_path / name)[0], luminance(RGB), atol=0.5)
    np.testing.assert_array_equal(load(tmp_path / "a.png", color="rgb", frames="middle")[0], RGB)


def test_other_png_modes(tmp_path):
    deep = (GREY.astype(np.uint16) * 257).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_allclose(load(tmp_path / "deep.png")[0], GREY, atol=1e-3)
    Image.fromarray(GREY > 100).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(load(tmp_path / "mask.png")[0], (GREY > 100) * 255)
    Image.fromarray(RGB).quantize(4).save(tmp_path / "palette.png")
    truth = np.asarray(Image.open(tmp_path / "palette.png").convert("RGB"))
    np.testing.assert_array_equal(load(tmp_path / "palette.png", color="rgb")[0], truth)


def test_a_picture_with_further_frames_is_told(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(255 - GREY)] * 2)
    with pytest.warns(FileReadWarning, match=r"a\.png: holds 3 pictures, of which the first is read"):
        np.testing.assert_array_equal(load(tmp_path / "a.png")[0], GREY)


def test_jpeg_is_turned_upright(tmp_path):
    image = Image.fromarray(np.repeat(np.arange(32, dtype=np.uint8)[:, None] * 8, 64, axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a turn by 90 degrees clockwise
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    array, _ = load(tmp_path / "a.jpg")
    assert array.shape == (64, 32)
    assert array[0, 0] > 200 > 50 > array[0, -1]


def test_float_and_bool_npy_keep_their_values(tmp_path):
    np.save(tmp_path / "f.npy", GREY / 255)
    np.testing.assert_array_equal(load(tmp_path / "f.npy")[0], GREY / 255)
    np.save(tmp_path / "b.npy", GREY > 100)
    np.testing.assert_array_equal(load(tmp_path / "b.npy")[0], GREY > 100)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{"a": 1}], dtype=object), "pickle"),
        (np.zeros((4, 5, 6, 7)), r"shape \(4, 5, 6, 7\), expected \(rows, columns\)"),
        (np.zeros((0, 5)), "shape"),
        (np.full((4, 5), np.nan), "NaN"),
        (np.array([["a"]]), "expected numbers"),
        (np.zeros((4, 5), dtype=complex), "expected numbers"),
    ],
)
def test_bad_npy(tmp_path, array, message):
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"bad\.npy: .*{message}"):
        load(tmp_path / "bad.npy")


def test_pickle_named_npy_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    (tmp_path / "bomb.npy").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="pickle"):
        load(tmp_path / "bomb.npy")
    assert not (tmp_path / "exploded").exists()


def test_truncated_stills(tmp_path):
    Image.fromarray(np.tile(RGB, (8, 8, 1))).save(tmp_path / "a.png")
    Image.fromarray(np.tile(RGB, (8, 8, 1))).save(tmp_path / "a.jpg")
    np.save(tmp_path / "a.npy", GREY)
    for name in ("a.png", "a.jpg", "a.npy"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=rf"{name}: .*cut short"):
            load(tmp_path / name)


def test_damaged_picture_is_not_called_cut_short(tmp_path):
    Image.fromarray(np.tile(RGB, (8, 8, 1))).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FileReadError, match=r"a\.png: the picture cannot be decoded, it is damaged or not supported"):
        load(tmp_path / "a.png")


def test_wrong_suffix(tmp_path):
    (tmp_path / "a.png").write_bytes(Path(CLIP).read_bytes())
    with pytest.raises(ValueError, match="is not a picture"):
        load(tmp_path / "a.png")


def test_a_still_has_one_frame(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    assert load(tmp_path / "a.npy", frames="middle")[0].shape == GREY.shape
    with pytest.raises(ValueError, match=r"a\.npy: frame 3 cannot be read: .* there are 1 frames"):
        load(tmp_path / "a.npy", frames=3)


def test_verify_suffix():
    reader = UltrasoundReader()
    assert reader.verify_suffix("a.dcm")
    assert reader.verify_suffix(["IM0001", "a.PNG", "b.npy", "c.nii.gz", "d.AVI"])
    assert not reader.verify_suffix(["a.dcm", "b.csv.gz"])
