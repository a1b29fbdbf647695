# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``masks`` as a user runs it on a data set without masks."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_debias.apps.radiography.lung_masks.command import masks
from monai_debias.data import load_datalist
from monai_debias.data.found_masks.mask_file import read_mask


@pytest.fixture
def data(tmp_path, cohort):
    """Films without masks, of which one has no lungs, and one that has a mask already."""
    folder = tmp_path / "cohort"
    shutil.copytree(cohort, folder)
    content = json.loads((folder / "datalist.json").read_text())
    first, *others = content["test_random"]
    for item in others:
        del item["mask"]
    Image.fromarray(np.zeros((80, 80), np.uint8)).save(folder / "black.png")
    others.append({"image": "black.png", "label": 0, "patient_id": "q"})
    content = {"labels": content["labels"], "training": [first, *others]}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


def run(source, out, **options):
    masks(str(source), str(out), workers=1, progress=False, **options)


def table(out):
    with (out / "masks.csv").open(newline="") as file:
        return {Path(row["image"]).name: row for row in csv.DictReader(file)}


def test_good_masks_come_into_a_new_datalist_and_bad_ones_do_not(data, tmp_path, capsys):
    before, out = (data / "datalist.json").read_bytes(), tmp_path / "masks"
    run(data, out)
    assert "3 of 4 masks" in capsys.readouterr().out
    assert (data / "datalist.json").read_bytes() == before
    rows = table(out)
    assert len(rows) == 4
    assert (rows["black.png"]["usable"], rows["black.png"]["mask"]) == ("no", "") or rows["black.png"]["doubts"]
    items = load_datalist(out, "training")
    assert [("mask" in item) for item in items] == [True, True, True, True, False]
    assert Path(items[0]["mask"]).resolve() == (data / json.loads(before)["training"][0]["mask"]).resolve()
    assert read_mask(Path(items[1]["mask"])).shape == (128, 128)
    assert (out / "contact_sheet_1.png").stat().st_size > 5000


def test_a_mask_that_was_corrected_counts_and_another_folder_is_not_written_to(data, tmp_path, capsys):
    out = tmp_path / "masks"
    run(data, out)
    corrected = np.zeros((80, 80), np.uint8)
    corrected[20:60, 10:70] = 255
    Image.fromarray(corrected).save(out / "masks" / "black.png.png")
    run(data, out)
    assert table(out)["black.png"]["method"] == "by hand"
    assert all("mask" in item for item in load_datalist(out, "training"))
    with pytest.raises(FileExistsError, match="is not a datalist that this command made"):
        run(data, data)
    run(out, tmp_path / "again")
    assert "already has a mask" in capsys.readouterr().out


def test_a_folder_without_lungs_is_an_error(tmp_path):
    (tmp_path / "films").mkdir()
    Image.fromarray(np.zeros((80, 80), np.uint8)).save(tmp_path / "films" / "black.png")
    with pytest.raises(SystemExit, match="none of 1 films has a usable mask"):
        run(tmp_path / "films", tmp_path / "out")
    (tmp_path / "films" / "black.png").rename(tmp_path / "films" / "notes.txt")
    with pytest.raises(ValueError, match="there is no chest film in"):
        run(tmp_path / "films", tmp_path / "out")
