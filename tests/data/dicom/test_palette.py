# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Palettes: the colours that pydicom finds, too, and palettes that are incomplete."""

from __future__ import annotations

# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from monai_debias.data.reading import FileReadError
from tests.data.image_files import RNG, change, load


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
