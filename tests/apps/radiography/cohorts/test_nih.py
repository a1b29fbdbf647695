# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""NIH ChestX-ray14, in a folder laid out as it is published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from monai_debias.apps.radiography import build_chest_datalist
from monai_debias.data import LeftOutError
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import QUARTERS, items, labels, left_out, sections

pytestmark = pytest.mark.filterwarnings("ignore:.*ChestX-ray14")


def test_nih(tmp_path):
    path = build_chest_datalist("nih", layouts.nih(tmp_path))
    parts = sections(path)
    assert {name: len(part) for name, part in parts.items()} == {"training": 10, "validation": 2, "test": 4}
    assert {item["patient_id"] for item in parts["test"]} == {"7", "8"}
    assert labels(path)["0"] == "Atelectasis"
    assert len(labels(path)) == 14
    (item,) = [item for item in items(path) if item["image"].endswith("00000002_001.png")]
    assert item == {
        "image": "images_001/images/00000002_001.png",
        "label": [0] * 14,
        "patient_id": "2",
        "cohort": "nih",
        "site": "NIH Clinical Center",
        "view": "frontal",
        "view_position": "PA",
        "sex": "F",
        "age": 59,
        "follow_up": 1,
    }
    (item,) = [item for item in items(path) if item["image"].endswith("00000001_000.png")]
    assert [labels(path)[str(n)] for n, value in enumerate(item["label"]) if value] == ["Hernia", "Infiltration"]


def test_nih_with_patient_sex_a_trailing_comma_and_one_folder(tmp_path):
    layouts.nih(tmp_path, "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,")
    table = tmp_path / "Data_Entry_2017_v2020.csv"
    first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([first, *(f"{row}," for row in rows)]))
    (tmp_path / "images").mkdir()
    for image in tmp_path.glob("images_00*/images/*.png"):
        image.rename(tmp_path / "images" / image.name)
    found = items(build_chest_datalist("nih", tmp_path))
    assert Counter(item["sex"] for item in found) == {"F": 8, "M": 8}
    assert {Path(item["image"]).parent.name for item in found} == {"images"}


def test_one_class_of_several_findings(tmp_path):
    layouts.nih(tmp_path, official=False)
    path = build_chest_datalist("nih", tmp_path, "No Finding, Pneumonia", "softmax", **QUARTERS)
    assert labels(path) == {"0": "No Finding", "1": "Pneumonia"}
    assert Counter(item["label"] for item in items(path)) == {0: 5, 1: 6}
    assert left_out(tmp_path) == {"has none of the classes No Finding, Pneumonia.": 5}
    with pytest.raises(ValueError, match=r"no image has the label 'Covid'; the labels are No Finding|Pneumonia"):
        build_chest_datalist("nih", tmp_path, class_names=["Covid"], overwrite=True)


def test_renamed_columns_and_images_in_no_list(tmp_path):
    layouts.nih(tmp_path, layouts.NIH_COLUMNS.replace("Finding Labels", "Finding Label"))
    expected = r"Data_Entry_2017_v2020\.csv has no column 'Finding Labels', expected one; its columns are Image Index, "
    with pytest.raises(ValueError, match=f"{expected}.* If 'Finding Label' is that column, rename it"):
        build_chest_datalist("nih", tmp_path)
    layouts.nih(tmp_path)
    (tmp_path / "test_list.txt").write_text("00000007_000.png\n")
    with pytest.raises(
        ValueError, match=r"3 of 16 images are in no list of the authors' split, such as .*00000007_001"
    ):
        build_chest_datalist("nih", tmp_path)
    (tmp_path / "test_list.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no test_list\.txt, expected one; it has Data_Entry_2017"):
        build_chest_datalist("nih", tmp_path)
    with (tmp_path / "Data_Entry_2017_v2020.csv").open("a") as file:
        file.write("00000009_000.png,No Fin")
    with pytest.raises(ValueError, match=r"row 18 of .* has 2 cells, but the first row has 11 columns"):
        build_chest_datalist("nih", tmp_path)


def test_missing_films_are_an_error_unless_allowed(tmp_path):
    layouts.nih(tmp_path)
    (tmp_path / "images_001" / "images" / "00000002_000.png").unlink()
    with pytest.raises(LeftOutError, match=r"1 of 16 films of NIH ChestX-ray14 are missing(.|\n)*00000002_000\.png"):
        build_chest_datalist("nih", tmp_path)
    assert not (tmp_path / "datalist.json").exists()
    assert len(items(build_chest_datalist("nih", tmp_path, allow_missing=True))) == 15
    assert left_out(tmp_path) == {"is missing.": 1}
