# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The range of the values in formats that have no grey scale of their own."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage
from PIL import Image

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import FileReadError, FileReadWarning
from monai_debias.transforms import LoadMaskd
from tests.apps.radiography.films import GREY, load


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
        ("a.npy", GREY * np.float32(1 + 4e-7) / 255, GREY / 255),  # as a slope that is rounded leaves it
        ("a.npy", (GREY * np.uint16(257)).astype(">u2"), GREY / 255),
    ],
)
def test_every_format_comes_in_the_unit_range(tmp_path, name, array, expected):
    film, meta = load(save(tmp_path / name, array))
    assert film.dtype == np.float32
    np.testing.assert_allclose(film, expected, atol=1e-6)
    assert [meta[key] for key in ("view", "view_position", "laterality", "body_part", "spacing_source")] == [""] * 5
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


def test_an_inverted_film_of_fewer_bits_than_its_header_says(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY * np.uint16(16), "MONOCHROME1")
    with pytest.warns(FileReadWarning, match=r"a\.dcm: the image is very bright: the darkest pixel is 0\.93.* bits"):
        load(path)
