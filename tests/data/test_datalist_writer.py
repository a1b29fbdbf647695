# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A datalist as it is written: what its items must have, and that none is overwritten."""

from __future__ import annotations

# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import list_data_collate

from monai_debias.data.datalist import load_datalist
from monai_debias.data.datalist_writer import save_datalist
from tests.samples import VIEWS, make_class_folders


def class_folders(folder):
    """Arguments that write the datalist of a data set again."""
    directory = make_class_folders(folder)
    sections = {section: load_datalist(directory, section) for section in ("training", "test")}
    return {
        "dataset_dir": directory,
        "sections": sections,
        "labels": VIEWS,
        "description": "two views",
        "overwrite": True,
    }


EXAMPLES = {save_datalist: class_folders}


@pytest.fixture
def directory(tmp_path):
    """A directory with files of four patients and two classes."""
    for n in range(8):
        (tmp_path / f"{n}.png").touch()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "0.png").touch()
    return tmp_path


def items(*numbers):
    return [{"image": f"{n}.png", "label": n % 2, "patient_id": f"p{n // 2}"} for n in numbers]


def save(directory, sections=None, labels=("PLAX", "PSAX"), **kwargs):
    return save_datalist(
        directory, sections or {"training": items(0, 1), "test": items(2, 3)}, labels, "text", **kwargs
    )


def test_round_trip(directory):
    sections = {"training": items(0, 1, 4, 5), "test_same": items(2, 3)}
    sections["training"][0] |= {"mask": "masks/0.png", "use_mask": True}
    path = save(directory, sections)
    content = json.loads(path.read_text())
    assert content["labels"] == {"0": "PLAX", "1": "PSAX"}
    assert content["training"] == sections["training"]
    loaded = load_datalist(str(directory), "training")
    assert [item["label"] for item in loaded] == [0, 1, 0, 1]
    assert loaded[0]["image"] == str(directory / "0.png")
    assert loaded[0]["mask"] == str(directory / "masks/0.png")
    assert loaded[0]["use_mask"] is True
    assert load_datalist(directory, "test_same")[0]["patient_id"] == "p1"


def test_absolute_paths_become_relative_and_the_directory_may_move(directory, tmp_path_factory):
    section = [{**item, "image": str(directory / item["image"])} for item in items(0, 1)]
    save(directory, {"training": section}, labels={1: "b", 0: "a"})
    moved = tmp_path_factory.mktemp("moved") / "set"
    directory.rename(moved)
    assert [Path(item["image"]).parent for item in load_datalist(moved, "training")] == [moved, moved]


def test_several_labels_of_an_item(directory):
    rows = [[1, 0, None], [0, -1, 1]]
    section = [{**item, "label": row} for item, row in zip(items(0, 1), rows, strict=True)]
    names = ("cyst", "stone", "tumour")
    content = json.loads(save(directory, {"training": section}, names).read_text())
    assert [item["label"] for item in content["training"]] == rows
    loaded = load_datalist(directory, "training", names)
    assert np.stack([item["label"] for item in loaded]).tolist() == [[1, 0, -1], [0, -1, 1]]
    batch = list_data_collate([{"label": item["label"]} for item in loaded])["label"]
    assert (batch.shape, batch.dtype) == ((2, 3), torch.float32)
    again = json.loads(save(directory, {"training": loaded}, names, overwrite=True).read_text())
    assert [item["label"] for item in again["training"]] == [[1, 0, None], [0, None, 1]]
    for wrong, message in (
        ([1, 0], r"item 1 of .* has the label \[1, 0\], expected 1, 0 or null for each of cyst, stone, tumour"),
        ([1, 0, 2], "expected 1, 0 or null"),
        (2, "both classes and lists of labels"),
    ):
        section[1]["label"] = wrong
        with pytest.raises(ValueError, match=message):
            save(directory, {"training": section}, names, overwrite=True)


def test_files_beside_the_directory(directory):
    (directory / "list").mkdir()
    section = [{**item, "image": str(directory / item["image"])} for item in items(0, 1)]
    save(directory / "list", {"training": section})
    assert Path(load_datalist(directory / "list", "training")[0]["image"]).resolve() == (directory / "0.png").resolve()


def test_existing_file_is_kept(directory):
    path = save(directory)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(directory, {"training": items(4, 5)})
    assert path.read_bytes() == before
    save(directory, {"training": items(4, 5)}, overwrite=True)
    assert len(load_datalist(directory, "training")) == 2


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        ({"training": []}, ValueError, "section 'training' has no items"),
        ({"training": items(0, 2)}, ValueError, "section 'training' has a single class, 'PLAX', in 2 items"),
        (
            {"training": items(0, 1, 0)},
            ValueError,
            "1 images occur more than once in section 'training', such as 0.png",
        ),
        ({"training": [*items(0, 1), {"image": "2.png", "label": 0}]}, ValueError, "item 2 .* has no patient_id"),
        (
            {"training": [{"image": "0.png", "label": 7, "patient_id": "a"}]},
            ValueError,
            "the label 7, expected one of 0, 1",
        ),
        (
            {"training": items(0, 1, 98, 99)},
            FileNotFoundError,
            r"2 of 4 files of section 'training' are missing.*98\.png",
        ),
        ({"training": [{**item, "mask": "no.png"} for item in items(0, 1)]}, FileNotFoundError, r"2 of 4 .*no\.png"),
        ({"training": items(0, 1), "test": items(0, 1)}, ValueError, "1 patient is both in 'training' and in 'test'"),
        ({"labels": items(0, 1)}, ValueError, "a section cannot be named 'labels'"),
    ],
)
def test_save_refuses(directory, sections, error, message):
    with pytest.raises(error, match=message):
        save(directory, sections)
    assert not (directory / "datalist.json").exists()
