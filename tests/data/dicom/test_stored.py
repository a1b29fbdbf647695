# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The stored values of images that are signed, and of those that cannot be decoded."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from monai.utils import OptionalImportError
from pydicom.data import get_testdata_file

from monai_debias.data.dicom.stored import StoredPixels
from tests.data.image_files import load

MR = ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm")


@pytest.mark.parametrize("name", MR)
def test_signed_values(name):
    ds = pydicom.dcmread(get_testdata_file(name))
    pixels, bits = StoredPixels(ds).decode(0)
    assert ds.PixelRepresentation == 1
    assert bits == ds.BitsStored
    assert pixels.dtype.kind == "i"
    np.testing.assert_array_equal(pixels, ds.pixel_array)


def test_a_film_keeps_its_polarity():
    ds = pydicom.dcmread(get_testdata_file("RG3_UNCR.dcm"))
    pixels, bits = StoredPixels(ds).decode(0)
    assert (ds.PhotometricInterpretation, bits) == ("MONOCHROME1", 10)
    np.testing.assert_array_equal(pixels, ds.pixel_array)


def test_unsupported_compression_names_the_plugin():
    path = get_testdata_file("JPGLosslessP14SV1_1s_1f_8b.dcm")
    if pydicom.pixels.get_decoder(pydicom.dcmread(path).file_meta.TransferSyntaxUID).is_available:
        pytest.skip("a plugin for lossless JPEG is installed")
    with pytest.raises(OptionalImportError, match=r"1f_8b\.dcm: .*JPEG Lossless.*pip install python-gdcm .*pylibjpeg"):
        load(path)
