# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Own ultrasound files in a folder per view, among what a study holds besides."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import build_ultrasound_datalist
from monai_debias.data import FileReadWarning
from tests.samples import VIEWS, make_class_folders

EXAMPLES = {
    build_ultrasound_datalist: lambda folder: {
        "dataset_dir": make_class_folders(folder),
        "patient_regex": "^(p[0-9]+)_",
        "class_names": VIEWS,
        "overwrite": True,
    }
}


PIXELS = np.random.RandomState(0).randint(0, 256, (24, 32), dtype=np.uint8)


@pytest.fixture
def study(tmp_path, write_dicom):
    """Five patients with a still of three views, a CT, and a folder of masks."""
    for view in ("A4C", "PLAX", "other"):
        (tmp_path / view).mkdir()
        (tmp_path / "masks" / view).mkdir(parents=True)
        for n in range(5):
            write_dicom(tmp_path / view / f"{n}.dcm", PIXELS, PatientID=f"MRN-{n}")
            np.save(tmp_path / "masks" / view / f"{n}.npy", PIXELS > 0)
    shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / "PLAX" / "ct.dcm")
    return tmp_path


def test_views_come_in_the_order_of_the_paper_and_other_modalities_are_left_out(study):
    path = build_ultrasound_datalist(str(study), masks=str(study / "masks"))
    content = json.loads(Path(path).read_text())
    assert content["labels"] == {"0": "PLAX", "1": "A4C", "2": "other"}
    assert content["description"] == "15 images of 5 patients, a folder per class, 15 with a mask"
    with (study / "left_out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert Path(row["file"]).name == "ct.dcm"
    assert (row["kind"], row["reason"]) == ("unrelated", "is not ultrasound (modality CT, CT Image Storage).")


def test_another_order_and_a_regex(study):
    names = ["other", "PLAX", "A4C"]
    with pytest.raises(ValueError, match=r"class_names are other, PLAX, A4C, but the folders of .* are .*masks"):
        build_ultrasound_datalist(str(study), None, names)
    path = build_ultrasound_datalist(str(study), "^([0-9])", names, str(study / "masks"))
    assert list(json.loads(Path(path).read_text())["labels"].values()) == names


def test_warnings_of_the_reader_are_shown(study, write_dicom, region):
    write_dicom(study / "PLAX" / "3.dcm", PIXELS, PatientID="MRN-3", regions=[region(RegionLocationMaxX1=500)])
    with pytest.warns(FileReadWarning, match=r"3\.dcm: .*outside of the image"):
        build_ultrasound_datalist(str(study), masks=str(study / "masks"))
