# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which DICOM files are radiographs, and what their pixels measure."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.data import UnrelatedFileError
from tests.apps.radiography.films import GREY, change, load

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DX, DX_RAW = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"


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


def test_colours_become_grey(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", np.stack([GREY] * 3, axis=-1), "RGB", SOPClassUID=SECONDARY_CAPTURE)
    np.testing.assert_allclose(load(path)[0], GREY / 255, atol=1e-6)


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
