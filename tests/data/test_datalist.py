# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import json
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from monai_debias.data import datalist
from monai_debias.data.datalist import load_datalist
from monai_debias.data.datalist_writer import save_datalist
from tests.samples import VIEWS, make_class_folders

EXAMPLES = {
    load_datalist: lambda folder: {
        "dataset_dir": make_class_folders(folder),
        "section": "training",
        "class_names": VIEWS,
    },
    datalist.test_sections: lambda folder: {"dataset_dir": make_class_folders(folder)},  # imported, it were a test here
}


def items(*numbers):
    return [{"image": f"{n}.png", "label": n % 2, "patient_id": f"p{n // 2}"} for n in numbers]


@pytest.fixture
def directory(tmp_path):
    """A datalist of the images of two patients."""
    for n in range(4):
        (tmp_path / f"{n}.png").touch()
    save_datalist(tmp_path, {"training": items(0, 1), "test": items(2, 3)}, ("PLAX", "PSAX"), "text")
    return tmp_path


def test_load_refuses_directories_without_datalist(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; build one with `monai-debias datalist folder"):
        load_datalist(tmp_path / "gone", "training")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is empty; build one with"):
        load_datalist(tmp_path / "empty", "training")
    with pytest.raises(FileNotFoundError, match=r"has no datalist\.json; build one with"):
        load_datalist(tmp_path, "training")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "holds a JSON list, expected an object"),
        ('{"labels": ["PLAX"]}', "has the labels .*expected an object of names"),
        ('{"labels": {"0": 0, "1": 1}}', "has the labels .*expected an object of names"),
    ],
)
def test_load_refuses_other_json(tmp_path, text, message):
    (tmp_path / "datalist.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_datalist(tmp_path, "training")


def test_a_file_edited_by_hand(directory, monkeypatch):
    """With the byte order mark of Windows editors, and paths from the home folder."""
    file = directory / "datalist.json"
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("USERPROFILE", str(directory))
    content = json.loads(file.read_text())
    for item in content["training"]:
        item["image"] = f"~/{item['image']}"
    file.write_text(json.dumps(content), encoding="utf-8-sig")
    loaded = load_datalist(directory, "training")
    assert [Path(item["image"]) for item in loaded] == [directory / item["image"][2:] for item in content["training"]]


def test_load_refuses_bad_sections(directory):
    path = directory / "datalist.json"
    with pytest.raises(ValueError, match="has no section 'val'; it has: training, test"):
        load_datalist(directory, "val")
    content = json.loads(path.read_text())
    for section, message in (
        (items(0, 2), "has a single class"),
        ([{**item, "label": [None, -1]} for item in items(0, 1)], "has no label that is known"),
        (items(0, 1, 1), "1 images occur more than once"),
        ([*items(0, 1), {**items(0)[0], "image": "a\\b.png"}], r"a\\b\.png\. Write paths with / instead of \\\."),
        (items(0, 99), r"1 of 2 files of section 'training' of .* are missing, such as .*99\.png"),
    ):
        path.write_text(json.dumps({**content, "training": section}))
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            load_datalist(directory, "training")


def test_a_class_that_a_section_lacks_is_told(tmp_path, caplog):
    for item in items(0, 1):
        (tmp_path / item["image"]).write_bytes(b"")
    labels = {"0": "A4C", "1": "PLAX", "2": "PSAX"}
    (tmp_path / "datalist.json").write_text(json.dumps({"labels": labels, "validation": items(0, 1)}))
    load_datalist(tmp_path, "validation")
    assert re.search(r"section 'validation' of .*datalist\.json has no PSAX", caplog.text)


def test_from_a_bundle_config(directory):
    parser = ConfigParser(
        {
            "dataset_dir": str(directory),
            "items": {
                "_target_": "monai_debias.data.datalist.load_datalist",
                "dataset_dir": "@dataset_dir",
                "section": "test",
            },
        }
    )
    assert [item["label"] for item in parser.get_parsed_content("items")] == [0, 1]
