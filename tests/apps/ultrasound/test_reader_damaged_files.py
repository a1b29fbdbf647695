# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Files with random damage: each is read in full, or refused with an error that names it."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pydicom
import pytest
from monai.utils import OptionalImportError
from PIL import Image
from pydicom.uid import RLELossless

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.reading import FileReadError, FileReadWarning

_ROWS, _COLUMNS = np.mgrid[:24, :32]
GREY = (_ROWS * 4 + _COLUMNS).astype(np.uint8)
RGB = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)


def write_files(folder, write_dicom, region):
    """One file of each kind that is decoded in its own way."""
    meta = {"regions": [region()], "PixelSpacing": [0.3, 0.2], "FrameTime": 20}
    write_dicom(folder / "grey.dcm", GREY, **meta)
    write_dicom(folder / "deep.dcm", GREY.astype(np.uint16) * 9, bits=12)
    write_dicom(folder / "clip.dcm", np.stack([GREY] * 3), FrameTimeVector=[0, 1, 2])
    write_dicom(folder / "color.dcm", RGB, "RGB")
    write_dicom(folder / "jpeg.dcm", np.stack([GREY] * 3), jpeg=True, **meta)
    write_dicom(folder / "color_jpeg.dcm", np.stack([RGB] * 2), "YBR_FULL_422", jpeg=True)
    rle = pydicom.dcmread(write_dicom(folder / "rle.dcm", np.stack([GREY] * 2)))
    rle.compress(RLELossless)
    rle.save_as(folder / "rle.dcm")
    for suffix in ("png", "jpg", "bmp"):
        Image.fromarray(RGB).save(folder / f"color.{suffix}")
    np.save(folder / "grey.npy", GREY)
    return sorted(folder.iterdir())


def damage(content, rng):
    """Cut, change, remove, insert or repeat some bytes."""
    changed, place = bytearray(content), rng.randrange(len(content))
    some = rng.choice((1, 2, 4, 30))
    noise = bytes(rng.randrange(256) for _ in range(some))
    way = rng.choice(("cut", "change", "flip", "remove", "insert", "repeat"))
    if way == "cut":
        del changed[place:]
    elif way == "change":
        changed[place : place + some] = noise
    elif way == "flip":
        changed[place] ^= 1 << rng.randrange(8)
    elif way == "remove":
        del changed[place : place + some]
    elif way == "insert":
        changed[place:place] = noise
    else:
        changed[place : place + some] = content[:some]
    return bytes(changed)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_are_read_or_named(tmp_path, write_dicom, region, seed):
    rng = random.Random(seed)
    (tmp_path / "whole").mkdir()
    contents = {path.name: path.read_bytes() for path in write_files(tmp_path / "whole", write_dicom, region)}
    refused = []
    for name in rng.choices(sorted(contents), k=150):
        path = tmp_path / name
        path.write_bytes(damage(contents[name], rng))
        reader = UltrasoundReader(frames=rng.choice(("all", -1)), color=rng.choice(("grey", "rgb")))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                array, meta = reader.get_data(reader.read(path))
            except (FileReadError, OptionalImportError) as error:
                refused.append(str(error).startswith(f"{path}: "))
                continue
        assert array.size > 0
        assert tuple(meta["spatial_shape"]) == array.shape[: array.ndim - (reader.color == "rgb")]
        if not name.endswith(".npy"):  # whose values are kept
            assert 0 <= array.min() <= array.max() <= 255
        ours = [str(warning.message) for warning in warned if warning.category is FileReadWarning]
        assert all(message.startswith(f"{path}: ") for message in ours)
    assert all(refused)
    assert 30 < len(refused) < 120


@pytest.mark.parametrize("name", ["clip.dcm", "color_jpeg.dcm", "rle.dcm", "color.png", "color.bmp", "grey.npy"])
def test_a_file_that_was_cut_short_is_read_in_full_or_refused(tmp_path, write_dicom, region, name):
    (tmp_path / "whole").mkdir()
    write_files(tmp_path / "whole", write_dicom, region)
    content, path, reader = (tmp_path / "whole" / name).read_bytes(), tmp_path / name, UltrasoundReader()
    truth, _ = reader.get_data(reader.read(tmp_path / "whole" / name))
    refused = 0
    for missing in (*range(1, 60), *range(60, len(content), 97)):
        path.write_bytes(content[:-missing])
        try:
            array, _ = reader.get_data(reader.read(path))
        except FileReadError:
            refused += 1
        else:
            np.testing.assert_array_equal(array, truth)
    assert refused > 30
