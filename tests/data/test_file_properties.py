# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Properties of files that were made to differ in one thing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from monai_debias.data import ImageFileReader
from monai_debias.data.file_properties import file_properties
from monai_debias.data.mask_files import read_channel_first

PIXELS = np.random.RandomState(0).randint(60, 200, (60, 48), dtype=np.uint8)


def read(path):
    return file_properties(str(path), *read_channel_first(path, ImageFileReader()))


def save(path, pixels=PIXELS, **options):
    Image.fromarray(pixels).save(path, **options)
    return read(path)


def differing(one, other, more_than=0.02):
    """Names of the properties that differ, apart from the size of the file."""
    names = (one.keys() | other.keys()) - {"kilobytes"}

    def differs(a, b):
        return abs(a - b) > more_than * max(abs(a), abs(b)) if isinstance(a, float) and isinstance(b, float) else a != b

    return {name for name in names if differs(one.get(name), other.get(name))}


def test_what_a_change_changes(tmp_path):
    plain = save(tmp_path / "a.png")
    assert save(tmp_path / "b.png") == plain
    assert differing(plain, save(tmp_path / "c.png", PIXELS[:, :40])) >= {"columns", "rows / columns"}
    framed = PIXELS.copy()
    framed[[0, 1, 2, -3, -2, -1]] = framed[:, [0, 1, -2, -1]] = 0
    changed = save(tmp_path / "d.png", framed)
    assert changed["border blackness"] == 1
    assert changed["border brightness"] == 0
    assert plain["border blackness"] == 0
    blurred = save(tmp_path / "e.png", gaussian_filter(PIXELS, 1))
    assert blurred["sharpness"] < plain["sharpness"] / 5
    assert differing(plain, blurred) == {"sharpness", "contrast", "border against rest"}
    coarse, fine = save(tmp_path / "f.jpg", quality=30), save(tmp_path / "g.jpg", quality=95)
    assert coarse["JPEG quantisation"] > 3 * fine["JPEG quantisation"]
    deep = save(tmp_path / "h.png", PIXELS.astype(np.uint16) * 257)
    assert differing(plain, deep) == {"pixel type"}


def test_the_header_of_dicom(tmp_path, write_dicom):
    found = []
    for n, (polarity, bits) in enumerate([("MONOCHROME2", 8), ("MONOCHROME1", 12)]):
        path = tmp_path / f"{n}.dcm"
        pixels = PIXELS if bits == 8 else PIXELS.astype(np.uint16)
        write_dicom(path, pixels, polarity, bits=bits, Manufacturer=("Acme", "ACME ")[n], PixelSpacing=[0.2 + n, 0.2])
        found.append(read(path))
        assert not any("Doe" in str(value) or "SECRET" in str(value) for value in found[-1].values())
    assert [one["bits"] for one in found] == [8, 12]
    assert [one["stored polarity"] for one in found] == ["MONOCHROME2", "MONOCHROME1"]
    assert found[0]["maker"] == found[1]["maker"] == "ACME"
    assert [one["spacing"] for one in found] == [0.2, 1.2]


def test_signals_have_a_length_and_a_rate():
    signal = np.random.default_rng(0).normal(size=(12, 500))
    signal[3] = np.nan
    found = file_properties("a.npy", signal, {"sampling_rate": 250.0, "leads": ("I",), "unit": "mV"})
    assert (found["length"], found["sampling rate"], found["unit"], found["channels"]) == (500, 250, "mV", 12)
    assert found["missing"] == pytest.approx(1 / 12, abs=1e-4)
    assert "leads" not in found
    assert file_properties("a.npy", np.full((1, 9), np.nan), {})["missing"] == 1
