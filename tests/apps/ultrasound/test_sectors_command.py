# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``sectors`` as a user runs it, edits a mask, and runs it again."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import SectorGuessWarning
from monai_debias.apps.ultrasound.sectors_command import SectorFinder, sectors
from monai_debias.data import FileReadWarning, load_datalist, save_datalist
from monai_debias.data.found_masks.find_all import find_masks
from monai_debias.data.found_masks.mask_file import read_mask

CLIP, STILL, CT = (get_testdata_file(n) for n in ("examples_ybr_color.dcm", "examples_rgb_color.dcm", "CT_small.dcm"))


@pytest.fixture
def data(tmp_path):
    """Two images of 240 x 320 in folders, and a file that is unrelated."""
    for path in ("a/clip.dcm", "b/still.dcm", "b/ct.dcm"):
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
    for source, path in ((CLIP, "a/clip.dcm"), (STILL, "b/still.dcm"), (CT, "b/ct.dcm")):
        shutil.copy(source, tmp_path / "data" / path)
    return tmp_path / "data"


def table(out):
    with (out / "sectors.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def run(*arguments, **options):
    sectors(*map(str, arguments), workers=1, progress=False, **options)


def test_masks_table_and_sheet_and_a_mask_that_was_edited_is_kept(data, capsys, caplog):
    out = data / "sectors"
    (data / "empty.dcm").write_bytes(b"")
    with pytest.warns(FileReadWarning, match=r"clip\.dcm: .*outside of the image") as warned:
        run(data, out)
    assert any("the ultrasound regions are not used" in str(warning.message) for warning in warned)
    assert not any(warning.category is SectorGuessWarning for warning in warned)  # the table and the sheet tell that
    with (out / "left_out.csv").open(newline="") as file:
        assert [(Path(row["file"]).name, row["kind"]) for row in csv.DictReader(file)] == [
            ("empty.dcm", "unreadable"),
            ("ct.dcm", "unrelated"),
        ]
    assert "2 files are used; 2 left out" in caplog.text
    assert "2 masks of 2 images" in capsys.readouterr().out
    still, clip = table(out)  # the least sure first
    assert (still["image"], still["method"], clip["image"], clip["method"]) == (
        "b/still.dcm",
        "still",
        "a/clip.dcm",
        "clip",
    )
    assert float(still["confidence"]) < 0.6 < float(clip["confidence"])
    assert "by texture alone" in still["doubts"]
    assert clip["doubts"] == ""
    with Image.open(out / "contact_sheet_1.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 20
    path = out / clip["mask"]
    edited = read_mask(path)
    assert edited.mean() == pytest.approx(float(clip["area"]), abs=1e-4)
    edited[:100] = False
    Image.fromarray(edited.astype(np.uint8) * 255).save(path)
    (out / still["mask"]).unlink()
    run(data, out)  # the masks and sheets below the folder are not images
    again = {row["image"]: row for row in table(out)}
    assert again["a/clip.dcm"]["method"] == "by hand"
    np.testing.assert_array_equal(read_mask(path), edited)
    assert again["b/still.dcm"]["method"] == "still"


def test_given_mask_has_to_fit_and_a_missing_mask_is_an_error(data, tmp_path):
    mask = np.zeros((240, 320), np.uint8)
    mask[40:200, 60:260] = 1
    np.save(tmp_path / "scanner.npy", mask)
    run(data, tmp_path / "out", mask=tmp_path / "scanner.npy")
    assert [row["method"] for row in table(tmp_path / "out")] == ["given", "given"]
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "masks" / "b" / "still.dcm.png"), mask)
    Image.fromarray(mask[::2, ::2] * 255).save(tmp_path / "small.png")
    with pytest.raises(
        SystemExit, match=r"2 of 2 images have no mask(.|\n)*120 rows and 160 columns, the image 240 and"
    ):
        run(data, tmp_path / "other", mask=tmp_path / "small.png")
    Image.fromarray(mask * 77).save(tmp_path / "grey.png")
    with pytest.raises(ValueError, match=r"grey\.png: has 2 values"):
        run(data, tmp_path / "other", mask=tmp_path / "grey.png")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(data / "nowhere", tmp_path / "other")


def test_an_edited_mask_that_does_not_fit_is_not_trusted_and_not_overwritten(data):
    wrong = data / "out" / "masks" / "b" / "still.dcm.png"
    wrong.parent.mkdir(parents=True)
    Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save(wrong)
    (row,), _ = find_masks([data / "b" / "still.dcm"], data, data / "out", SectorFinder())
    assert (row.method, row.confidence, row.mask) == ("none", 0.0, None)
    assert "the mask by hand has 20 rows and 20 columns" in row.doubts
    assert read_mask(wrong).shape == (20, 20)


def test_datalist_is_completed_and_annotations_stay(data):
    own = np.zeros((240, 320), np.uint8)
    own[50:150, 50:150] = 255
    Image.fromarray(own).save(data / "own.png")
    shutil.copy(CLIP, data / "a" / "second.dcm")
    items = [
        {"image": "a/clip.dcm", "label": 0, "patient_id": "p"},
        {"image": "b/still.dcm", "label": 1, "patient_id": "q", "note": "x"},
        {"image": "a/second.dcm", "label": 1, "patient_id": "r", "mask": "own.png"},
    ]
    save_datalist(data, {"training": items}, ("PLAX", "PSAX"), "three images")
    before = json.loads((data / "datalist.json").read_text())
    for _ in range(2):  # the second run finds its own masks in the datalist
        run(data, data / "out")
        assert len(table(data / "out")) == 2
        loaded = load_datalist(data, "training")
        assert loaded[2]["mask"].endswith("own.png")
        assert [read_mask(item["mask"]).shape for item in loaded] == [(240, 320)] * 3
    after = json.loads((data / "datalist.json").read_text())
    for item in after["training"][:2]:
        assert item.pop("mask") == f"out/masks/{item['image']}.png"
    assert after == before


def test_nothing_to_find_is_said(data, tmp_path, capsys):
    items = [
        {"image": f"b/{n}.dcm", "label": k, "patient_id": n, "mask": "b/ct.dcm"} for k, n in enumerate(("still", "ct"))
    ]
    save_datalist(data, {"training": items}, ("PLAX", "PSAX"), "two images with masks")
    run(data, tmp_path / "out")
    assert "already has a mask" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"there is no ultrasound in(.|\n)*modality CT"):
        run(data / "b" / "ct.dcm", tmp_path / "out")
