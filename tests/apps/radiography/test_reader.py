# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Real films, what the reader says of them, and bad files."""

from __future__ import annotations

import pickle
import random
import re
import subprocess
import sys
import warnings

import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage
from monai.utils import OptionalImportError
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import FileReadError, FileReadWarning, UnrelatedFileError
from tests.apps.radiography.films import GREY, load

CHEST = get_testdata_file("RG1_UNCR.dcm")  # Philips, MONOCHROME1, PA, 15 bits, window 15000 ± 15000
LEG = get_testdata_file("RG3_UNCR.dcm")  # MONOCHROME1, AP, 10 bits
EXAMPLES = {
    RadiographReader: [{"views": "frontal"}, {"views": "any", "body_part": "CHEST"}],
    RadiographReader.read: {"data": get_testdata_file("image_dfl.dcm")},
}
UNKNOWN = {"view": "", "view_position": "", "laterality": "", "body_part": "", "spacing_source": ""}


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


WITHOUT_GDCM = """
import sys
sys.modules["gdcm"] = None
from monai_debias.apps.radiography import RadiographReader
reader = RadiographReader()
reader.get_data(reader.read(sys.argv[1]))
"""


def test_lossless_jpeg_names_the_package_to_install():
    command = [sys.executable, "-c", WITHOUT_GDCM, get_testdata_file("SC_rgb_jpeg_gdcm.dcm")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert re.search(r"OptionalImportError: .*gdcm\.dcm: .* JPEG Lossless.*: pip install python-gdcm", ended.stderr)


def test_several_frames_are_refused(tmp_path, write_film):
    write_film(tmp_path / "a.dcm", np.stack([GREY] * 3))
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 4), np.uint8), np.eye(4)), tmp_path / "a.nii")
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 9, 1), np.uint8))
    for name, count in (("a.dcm", 3), ("a.nii", 4), ("a.npy", 3)):
        with pytest.raises(UnrelatedFileError, match=rf"{name}: has {count} frames, expected one"):
            load(tmp_path / name)


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
