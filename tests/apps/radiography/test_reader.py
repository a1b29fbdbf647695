# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files are radiographs, what their header says, and in which range the values of every format come."""

from __future__ import annotations

import pickle
import random
import warnings

import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage
from monai.utils import OptionalImportError
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGLosslessSV1, RLELossless

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import FileReadError, FileReadWarning, UnrelatedFileError
from monai_debias.transforms import LoadMaskd

CHEST = get_testdata_file("RG1_UNCR.dcm")  # Philips, MONOCHROME1, PA, 15 bits, window 15000 ± 15000
LEG = get_testdata_file("RG3_UNCR.dcm")  # MONOCHROME1, AP, 10 bits
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DX, DX_RAW = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"

GREY = np.random.RandomState(0).randint(0, 256, (16, 24), dtype=np.uint8)
UNKNOWN = {"view": "", "view_position": "", "laterality": "", "body_part": "", "spacing_source": ""}


def load(path, **arguments):
    reader = RadiographReader(**arguments)
    return reader.get_data(reader.read(path))


def change(path, **elements):
    ds = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.save_as(path)
    return path


# ---------------------------------------------------------------- real films


@pytest.fixture(scope="module")
def chest():
    with pytest.warns(FileReadWarning, match=r"PixelSpacing is \[0\.0, 0\.0\].* unknown"):
        return load(CHEST)


def test_real_chest_film_is_black_where_there_is_air(chest):
    film, meta = chest
    assert film.dtype == np.float32
    assert film.shape == (1955, 1841)
    stored = pydicom.dcmread(CHEST).pixel_array.astype(float)
    np.testing.assert_allclose(film, 1 - ((stored - 14999.5) / 29999 + 0.5), atol=1e-6)
    lung, spine = film[700:900, 450:650], film[900:1100, 880:960]
    assert lung.mean() < spine.mean() - 0.1
    assert {key: meta[key] for key in UNKNOWN} == {**UNKNOWN, "view": "frontal", "view_position": "PA"} | {
        "body_part": "CHEST"
    }
    assert meta["display_range"].tolist() == [0, 1]
    assert "spacing" not in meta


def test_the_same_film_of_a_scanner_with_the_other_polarity(tmp_path, chest):
    ds = pydicom.dcmread(CHEST)
    ds.PixelData = (30000 - ds.pixel_array).astype(np.uint16).tobytes()
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.WindowCenter = 15001  # the window of PS3.3 is not symmetric
    ds.save_as(tmp_path / "a.dcm")
    with pytest.warns(FileReadWarning, match="PixelSpacing"):
        film, _ = load(tmp_path / "a.dcm")
    np.testing.assert_allclose(film, chest[0], atol=1e-6)


def test_compressed_version_of_a_real_film_is_the_same():
    film, meta = load(LEG)
    np.testing.assert_array_equal(film, load(get_testdata_file("RG3_J2KR.dcm"))[0])
    assert (meta["view"], meta["laterality"], meta["body_part"]) == ("frontal", "R", "EXTREMITY")
    assert film[1300:1400, 480:600].max() < 0.2 < film[1300:1400, 780:900].min()  # air beside the leg, and bone


def test_lossless_jpeg_names_the_package_to_install():
    if get_decoder(JPEGLosslessSV1).is_available:
        pytest.skip("a plugin for lossless JPEG is installed")
    with pytest.raises(OptionalImportError, match=r"gdcm\.dcm: .* JPEG Lossless.*: pip install python-gdcm"):
        load(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))


# ---------------------------------------------------------------- which files are radiographs


@pytest.mark.parametrize(
    "header",
    [
        {"Modality": "DX", "SOPClassUID": DX},
        {"Modality": "RG", "SOPClassUID": SECONDARY_CAPTURE},
        {"Modality": "OT", "SOPClassUID": SECONDARY_CAPTURE},
        {"Modality": "", "SOPClassUID": f"{SECONDARY_CAPTURE}.2"},
    ],
)
def test_kinds_of_films(tmp_path, write_film, header):
    np.testing.assert_allclose(load(write_film(tmp_path / "a.dcm", GREY, **header))[0], GREY / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"Modality": "CT", "SOPClassUID": SECONDARY_CAPTURE}, "neither CR, DX, RG nor a secondary capture"),
        ({"Modality": "OT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1"}, "neither CR"),  # endoscopy
        ({"Modality": "DX", "SOPClassUID": DX_RAW}, "raw values of the detector"),
        ({"Modality": "DX", "PresentationIntentType": "FOR PROCESSING"}, "raw values of the detector"),
    ],
)
def test_what_is_no_film_is_unrelated(tmp_path, write_film, header, message):
    with pytest.raises(UnrelatedFileError, match=rf"a\.dcm: .*{message}"):
        load(write_film(tmp_path / "a.dcm", GREY, **header))


def test_several_frames_are_refused(tmp_path, write_film):
    write_film(tmp_path / "a.dcm", np.stack([GREY] * 3))
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 4), np.uint8), np.eye(4)), tmp_path / "a.nii")
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 9, 1), np.uint8))
    for name, count in (("a.dcm", 3), ("a.nii", 4), ("a.npy", 3)):
        with pytest.raises(UnrelatedFileError, match=rf"{name}: has {count} frames, expected one"):
            load(tmp_path / name)


def test_colours_become_grey(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", np.stack([GREY] * 3, axis=-1), "RGB", SOPClassUID=SECONDARY_CAPTURE)
    np.testing.assert_allclose(load(path)[0], GREY / 255, atol=1e-6)


# ---------------------------------------------------------------- views


def code(value, scheme):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "a view"
    return [item]


LATERAL = [
    {"ViewPosition": "LL"},
    {"ViewPosition": "LATERAL"},
    {"ViewPosition": "xtable lateral"},
    {"ViewPosition": "", "ViewCodeSequence": code("399173006", "SCT")},
    {"ViewPosition": "", "ViewCodeSequence": code("R-10236", "SRT")},  # the same in SNOMED's older scheme
    {"ViewPosition": "", "PatientOrientation": ["P", "F"]},
]
FRONTAL = [
    {"ViewPosition": "AP LLD"},
    {"ViewPosition": "", "ViewCodeSequence": code("399348003", "SCT")},
    {"ViewPosition": "", "PatientOrientation": ["L", "F"]},
]
UNTOLD = [
    {"ViewPosition": "RLO"},
    {"ViewPosition": "", "ViewCodeSequence": code("R-10236", "99OWN")},
    {"ViewPosition": "", "PatientOrientation": ["LA", "F"]},
    {"ViewPosition": "", "PatientOrientation": "L"},
]


@pytest.mark.parametrize("header", LATERAL)
def test_lateral_films_are_named_and_refused(tmp_path, write_film, header):
    path = write_film(tmp_path / "a.dcm", GREY, **header)
    element = next(keyword for keyword, value in header.items() if value)
    with pytest.raises(UnrelatedFileError, match=rf'a\.dcm: is a lateral film \({element}.*views="any"'):
        load(path)
    assert load(path, views="any")[1]["view"] == load(path, views="lateral")[1]["view"] == "lateral"


@pytest.mark.parametrize("header", FRONTAL)
def test_frontal_films(tmp_path, write_film, header):
    path = write_film(tmp_path / "a.dcm", GREY, **header)
    assert load(path)[1]["view"] == "frontal"
    with pytest.raises(UnrelatedFileError, match="is a frontal film"):
        load(path, views="lateral")


@pytest.mark.parametrize("header", UNTOLD)
def test_a_view_that_the_header_does_not_tell_is_neither(tmp_path, write_film, header):
    path = write_film(tmp_path / "a.dcm", GREY, **header)
    assert load(path)[1]["view"] == load(path, views="lateral")[1]["view"] == ""


def test_elements_that_contradict_each_other(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY, PatientOrientation=["A", "F"])
    with pytest.warns(FileReadWarning, match=r"a\.dcm: ViewPosition PA says frontal, PatientOrientation says lateral"):
        assert load(path)[1]["view"] == "frontal"


def test_part_of_the_body(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY, BodyPartExamined="Hand")
    assert load(path)[1]["body_part"] == "HAND"
    with pytest.raises(UnrelatedFileError, match=r"a\.dcm: shows HAND .* expected CHEST"):
        load(path, body_part="chest")
    assert load(change(path, BodyPartExamined="PORT CHEST"), body_part="CHEST")[1]["body_part"] == "PORT CHEST"
    assert load(change(path, BodyPartExamined=""), body_part="CHEST")[1]["body_part"] == ""


# ---------------------------------------------------------------- meta


def test_spacing_and_where_it_comes_from(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY, NominalScannedPixelSpacing=[0.4, 0.3])
    for keyword, spacing in (
        ("NominalScannedPixelSpacing", [0.4, 0.3]),
        ("ImagerPixelSpacing", [0.2, 0.1]),
        ("PixelSpacing", [0.5, 0.6]),
    ):
        _, meta = load(change(path, **{keyword: spacing}))
        assert meta["spacing"].tolist() == spacing
        assert meta["spacing_source"] == keyword
        np.testing.assert_array_equal(np.diag(meta["affine"]), [*spacing, 1, 1])


def test_laterality(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY, Laterality="R")
    assert load(path)[1]["laterality"] == "R"
    assert load(change(path, ImageLaterality="L"))[1]["laterality"] == "L"
    assert load(change(path, ImageLaterality="U"))[1]["laterality"] == ""


def test_no_patient_text_in_meta_or_messages(tmp_path, write_film):
    header = {"ViewPosition": "Doe^Jane", "BodyPartExamined": "SECRET-17", "AccessionNumber": "ACC77"}
    path = write_film(tmp_path / "a.dcm", GREY, **header)
    with pytest.warns(FileReadWarning, match="ViewPosition is not a code") as warned:
        _, meta = load(path)
    text = repr(meta) + repr(pickle.dumps(meta)) + repr([str(warning.message) for warning in warned])
    for secret in ("Doe", "Jane", "SECRET", "19500203", "ACC77"):
        assert secret not in text
    assert set(meta) == {*UNKNOWN, "display_range", "n_frames", "reader", "affine", "spatial_shape"} | {
        "original_channel_dim"
    }


# ---------------------------------------------------------------- other formats


def save(path, array, window=None):
    """Save as the suffix says; a NIfTI file has columns before rows."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".nii":
        image = nib.Nifti1Image(array.T, np.eye(4))
        image.header["cal_min"], image.header["cal_max"] = window or (0, 0)
        nib.save(image, path)
    else:
        Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("a.png", GREY, GREY / 255),
        ("a.png", GREY * np.uint16(257), GREY / 255),
        ("a.png", np.stack([GREY] * 3, axis=-1), GREY / 255),
        ("a.bmp", GREY, GREY / 255),
        ("a.nii", GREY, GREY / 255),
        ("a.nii", GREY * np.uint16(257), GREY / 255),
        ("a.nii", GREY / np.float32(512), GREY / 512),
        ("a.npy", GREY, GREY / 255),
        ("a.npy", GREY / 512, GREY / 512),
    ],
)
def test_every_format_comes_in_the_unit_range(tmp_path, name, array, expected):
    film, meta = load(save(tmp_path / name, array))
    assert film.dtype == np.float32
    np.testing.assert_allclose(film, expected, atol=1e-6)
    assert {key: meta[key] for key in UNKNOWN} == UNKNOWN
    assert meta["display_range"].tolist() == [0, 1]


def test_jpeg(tmp_path):
    smooth = np.add.outer(np.arange(32) * 3, np.arange(40) * 3).astype(np.uint8)
    film, _ = load(save(tmp_path / "a.jpg", smooth))
    np.testing.assert_allclose(film, smooth / 255, atol=6 / 255)


def test_the_window_of_a_nifti_file(tmp_path):
    values = GREY.astype(np.int16) * 10 - 1000
    film, _ = load(save(tmp_path / "a.nii", values, (-500, 1000)))
    np.testing.assert_allclose(film, np.clip((values + 500.0) / 1500, 0, 1), atol=1e-6)


@pytest.mark.parametrize("name", ["a.nii", "a.npy"])
def test_values_of_an_unknown_range_are_refused(tmp_path, name):
    path = save(tmp_path / name, GREY.astype(np.int16) - 100)
    with pytest.raises(FileReadError, match=rf"{name}: has values from -100 to 155 \(int16\).* in \[0, 1\], 0 = black"):
        load(path)


def test_an_image_of_fewer_bits_than_its_type(tmp_path):
    twelve_bits = (GREY * np.uint16(16)) & np.uint16(4095)
    with pytest.warns(FileReadWarning, match=r"a\.png: the image is very dark: .* fewer bits"):
        film, _ = load(save(tmp_path / "a.png", twelve_bits))
    np.testing.assert_allclose(film, twelve_bits / 65535, atol=1e-6)


@pytest.mark.parametrize("name", ["a.png", "a.nii", "a.npy"])
@pytest.mark.parametrize("inside", [1, 255])
def test_masks_are_0_and_1(tmp_path, name, inside):
    mask = np.zeros((16, 24), np.uint8)
    mask[4:12, 4:20] = inside
    loaded, _ = load(save(tmp_path / name, mask))
    np.testing.assert_array_equal(loaded, mask > 0)
    image = LoadImage(reader=RadiographReader(), ensure_channel_first=True)(save(tmp_path / "image.png", GREY))
    sample = LoadMaskd(reader=RadiographReader())({"image": image, "mask": str(tmp_path / name)})
    np.testing.assert_array_equal(sample["mask"][0], mask > 0)


# ---------------------------------------------------------------- bad files


def test_monais_loader_does_not_try_other_readers(tmp_path, write_film):
    lateral = write_film(tmp_path / "a.dcm", GREY, ViewPosition="LL")
    for reader in (RadiographReader(), "monai_debias.apps.radiography.RadiographReader"):
        loader = LoadImage(reader=reader)
        with pytest.raises(UnrelatedFileError, match=r"a\.dcm: is a lateral film"):
            loader(lateral)
        with pytest.raises(FileNotFoundError, match=r"gone\.dcm: no such file"):
            loader(tmp_path / "gone.dcm")
    assert LoadImage(reader="monai_debias.apps.radiography.RadiographReader", views="any")(lateral).max() <= 1


def test_one_file_at_a_time():
    with pytest.raises(ValueError, match="expected one file per item, got 2"):
        load([LEG, CHEST])


def test_damaged_films_are_read_or_named(tmp_path, write_film, table):
    header = {"PixelSpacing": [0.3, 0.2], "PixelPaddingValue": 3, "PatientOrientation": ["L", "F"]}
    deep = np.arange(768, dtype=np.uint16).reshape(24, 32) * 5
    window = {"WindowCenter": 1000, "WindowWidth": 2000, "RescaleSlope": 1, "RescaleIntercept": 5}
    write_film(tmp_path / "window.dcm", deep, "MONOCHROME1", bits=12, **header, **window)
    write_film(tmp_path / "table.dcm", deep, bits=12, **header, VOILUTSequence=[table(range(4096), bits=12)])
    write_film(tmp_path / "signed.dcm", deep.astype(np.int16), bits=13, **header)
    write_film(tmp_path / "jpeg.dcm", GREY, jpeg=True, **header)
    rle = pydicom.dcmread(tmp_path / "window.dcm")
    rle.compress(RLELossless)
    rle.save_as(tmp_path / "rle.dcm")
    whole = {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    rng, refused, read = random.Random(0), 0, 0
    for name in rng.choices(sorted(whole), k=200):
        damaged = bytearray(whole[name])
        place = rng.randrange(128, len(damaged) if rng.random() < 0.3 else 1000)
        damaged[place : place + rng.choice((1, 2, 4))] = rng.randbytes(rng.choice((0, 1, 4)))
        (tmp_path / name).write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                film, _ = load(tmp_path / name, views="any")
            except (FileReadError, OptionalImportError) as error:
                assert str(error).startswith(f"{tmp_path / name}: ")  # noqa: PT017
                refused += 1
            else:
                assert film.dtype == np.float32
                assert 0 <= film.min() <= film.max() <= 1
                read += 1
    assert refused > 20
    assert read > 20
