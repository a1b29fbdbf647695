# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Radiographs in DICOM files, as the tests write them."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture(scope="session")
def write_film(write_dicom):
    """Write pixels (rows, columns) as the DICOM file of a frontal chest film."""

    def write(path, pixels, photometric="MONOCHROME2", **changes):
        header = {"Modality": "CR", "SOPClassUID": CR, "ViewPosition": "PA", "BodyPartExamined": "CHEST"}
        header |= {"PixelRepresentation": int(pixels.dtype.kind == "i")}
        return write_dicom(path, pixels, photometric, **(header | changes))

    return write


@pytest.fixture(scope="session")
def table():
    """Make an item of a Modality or VOI LUT Sequence."""

    def make(values, first=0, bits=16):
        item = Dataset()
        item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values), first, bits])
        item.add_new("LUTData", "US", list(map(int, values)))
        item.ModalityLUTType = "US"
        return item

    return make
