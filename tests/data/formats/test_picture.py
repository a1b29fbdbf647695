# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: their modes, their damage, and what only has the name of one."""

from __future__ import annotations

# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from monai_debias.data.reading import FileReadError, FileReadWarning
from tests.data.image_files import GREY, RGB, load, luminance

CLIP = get_testdata_file("examples_ybr_color.dcm")


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
