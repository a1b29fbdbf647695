# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import csv
import json
from pathlib import Path

import numpy as np
import pytest

from monai_debias.apps.ultrasound import build_tmed2_datalist
from monai_debias.apps.ultrasound.load import LoadUltrasoundd
from monai_debias.data import LeftOutError
from monai_debias.data.datalist import load_datalist


def folders(folder):
    """Images and masks of ten patients as TMED-2 names them."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for number in range(10):
            for view in ("A2C", "A4C"):
                np.save(folder / part / f"{number:04d}_{view}.npy", np.ones((4, 4), dtype=np.uint8))
    return {"image_dir": folder / "images", "mask_dir": folder / "masks", "seed": 0, "overwrite": True}


EXAMPLES = {build_tmed2_datalist: folders}


VIEWS = ("PLAX", "PSAX", "A2C", "A4C")
GUESS = pytest.mark.filterwarnings("ignore:NNNN of NNNN_VIEW")


def write_still(folder, masks, number, view):
    rng = np.random.RandomState(number)
    mask = np.zeros((112, 112), dtype=np.uint8)
    mask[20:90, 30:100] = 1
    for directory, array in ((folder, rng.randint(0, 256, (112, 112), dtype=np.uint8)), (masks, mask)):
        directory.mkdir(parents=True, exist_ok=True)
        np.save(directory / f"{number:04d}_{view}.npy", array)


@pytest.fixture
def flat(tmp_path):
    for number in range(12):
        for view in VIEWS:
            write_still(tmp_path / "images", tmp_path / "masks", number, view)
    return tmp_path


@pytest.fixture
def authors(tmp_path):
    """The authors' folders: TMED2/{train,val,test} and TMED2/masking2/{train,val,test}."""
    root = tmp_path / "TMED2"
    for split, numbers in (("train", range(6)), ("val", range(6, 8)), ("test", range(8, 11))):
        for number in numbers:
            for view in VIEWS:
                write_still(root / split, root / "masking2" / split, number, view)
    return root


def build(root, **kwargs):
    return build_tmed2_datalist(str(root / "images"), str(root / "masks"), **kwargs)


def sections(path):
    content = json.loads(Path(path).read_text())
    return {name: content[name] for name in ("training", "validation", "test")}


@GUESS
def test_authors_layout(authors):
    path = build_tmed2_datalist(str(authors), str(authors / "masking2"))
    assert path == str(authors / "datalist.json")
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 24, "validation": 8, "test": 12}
    item = load_datalist(authors, "validation")[0]
    assert item["patient_id"] == "0006"
    sample = LoadUltrasoundd(("image", "mask"))(item)
    truth = np.load(authors / "val" / Path(item["image"]).name)
    np.testing.assert_array_equal(sample["image"][0], truth)
    assert sample["mask"].shape == (1, 112, 112)
    assert sample["mask"].unique().tolist() == [0, 1]
    assert [VIEWS[item["label"]] in item["image"] for item in load_datalist(authors, "training")] == [True] * 24


def test_flat_layout_is_split_by_patient_with_a_warning(flat):
    with pytest.warns(UserWarning, match=r"taken as the patient \(12 for 48 images\)"):
        path = build(flat)
    assert path == str(flat / "datalist.json")
    parts = sections(path)
    assert sum(len(part) for part in parts.values()) == 48
    groups = [{item["patient_id"] for item in part} for part in parts.values()]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 12
    assert all("mask" in item for part in parts.values() for item in part)


@GUESS
def test_bad_masks(flat):
    (flat / "bad.txt").write_text("0001_PLAX.npy\n0002_A4C\n\n")
    path = build(flat, bad_masks=str(flat / "bad.txt"))
    without = {Path(item["image"]).stem for part in sections(path).values() for item in part if "mask" not in item}
    assert without == {"0001_PLAX", "0002_A4C"}
    assert "48 images, 46 with a sector mask" in Path(path).read_text()
    (flat / "bad.txt").write_text("0001_PLAX.npy\n9999_PLAX.npy\n")
    with pytest.warns(UserWarning, match="1 of the 2 names"):
        build(flat, bad_masks=str(flat / "bad.txt"), overwrite=True)
    (flat / "bad.txt").write_text("masks/typo")
    with pytest.raises(ValueError, match=r"none of the 1 names in .*bad\.txt, such as .* is the name of a still"):
        build(flat, bad_masks=str(flat / "bad.txt"), overwrite=True)


def write_patients(path, rows, columns=("file", "patient_id")):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return str(path)


def test_patients_file(flat, recwarn):
    rows = [(f"{n:04d}_{view}.npy", f"patient{n // 2}") for n in range(12) for view in VIEWS]
    path = build(flat, patients=write_patients(flat / "patients.csv", rows))
    assert not [warning for warning in recwarn if "NNNN" in str(warning.message)]
    found = {item["patient_id"] for part in sections(path).values() for item in part}
    assert found == {f"patient{n}" for n in range(6)}
    with pytest.raises(ValueError, match=r"gives no patient for 4 of 48 stills: 0011_"):
        build(flat, patients=write_patients(flat / "patients.csv", rows[:-4]), overwrite=True)
    with pytest.raises(ValueError, match="has the columns image, who, expected file and patient_id"):
        build(flat, patients=write_patients(flat / "patients.csv", rows, ("image", "who")), overwrite=True)


@GUESS
def test_patient_in_two_splits(authors):
    write_still(authors / "test", authors / "masking2" / "test", 0, "PLAX")
    with pytest.raises(ValueError, match="1 patient is both in 'training' and in 'test'"):
        build_tmed2_datalist(str(authors), str(authors / "masking2"))
    assert not (authors / "datalist.json").exists()


@GUESS
def test_names(flat):
    write_still(flat / "images", flat / "masks", 50, "A3C")
    with pytest.raises(ValueError, match="unknown view 'A3C'; the views are PLAX, PSAX, A2C, A4C"):
        build(flat)
    (flat / "images" / "0050_A3C.npy").rename(flat / "images" / "PLAX.npy")
    with pytest.raises(ValueError, match=r"PLAX\.npy is not named NNNN_VIEW\.npy"):
        build(flat)


@GUESS
def test_layout_errors(flat, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match=r"the folder .*gone does not exist"):
        build_tmed2_datalist(str(flat / "images"), str(flat / "gone"))
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ValueError, match=r"has no \.npy files"):
        build_tmed2_datalist(str(empty), str(flat / "masks"))
    with pytest.raises(ValueError, match="none of the 48 stills has a mask of the same name"):
        build_tmed2_datalist(str(flat / "images"), str(empty))
    (flat / "images" / "train").mkdir()
    with pytest.raises(ValueError, match="both stills and the split folders"):
        build(flat)
    (empty / "train").mkdir()
    with pytest.raises(ValueError, match="only some of the split folders"):
        build_tmed2_datalist(str(empty), str(flat / "masks"))


@GUESS
def test_what_is_not_a_still_or_cannot_be_read_is_left_out(authors, caplog):
    train = authors / "train"
    (train / ".DS_Store").write_text("x")
    (train / "notes.csv").write_text("a,b")
    (authors / "DICOMDIR").write_text("x")
    (train / "0000_PLAX.npy").write_bytes(b"")
    (train / "0001_PLAX.npy").write_bytes((train / "0001_PLAX.npy").read_bytes()[:-50])
    path = build_tmed2_datalist(str(authors), str(authors / "masking2"))
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 22, "validation": 8, "test": 12}
    with (authors / "left_out.csv").open(newline="") as file:
        listed = {Path(row["file"]).name: row["kind"] for row in csv.DictReader(file)}
    assert listed == {
        **dict.fromkeys((".DS_Store", "notes.csv", "DICOMDIR"), "unrelated"),
        **dict.fromkeys(("0000_PLAX.npy", "0001_PLAX.npy"), "unreadable"),
    }
    assert "42 files are used; 5 left out (2 unreadable, 3 unrelated)" in caplog.text
    with pytest.raises(LeftOutError, match=r"strict.*5 left out"):
        build_tmed2_datalist(str(authors), str(authors / "masking2"), overwrite=True, strict=True)
    for still in authors.glob("*/*.npy"):
        still.write_bytes(b"no array")
    with pytest.raises(LeftOutError, match="no still is left: 47 left out"):
        build_tmed2_datalist(str(authors), str(authors / "masking2"), overwrite=True)


@GUESS
def test_out_and_overwrite(flat):
    path = build(flat, out=str(flat / "lists"))
    assert path == str(flat / "lists" / "datalist.json")
    assert Path(load_datalist(flat / "lists", "test")[0]["image"]).is_file()
    with pytest.raises(FileExistsError, match="overwrite"):
        build(flat, out=str(flat / "lists"))


@GUESS
def test_one_class(tmp_path):
    for number in range(12):
        write_still(tmp_path / "images", tmp_path / "masks", number, "PLAX")
    with pytest.raises(ValueError, match="has a single class, 'PLAX'"):
        build(tmp_path)


def test_from_the_command_line(flat, capsys):
    fire = pytest.importorskip("fire")
    with pytest.warns(UserWarning, match="NNNN"):
        fire.Fire(
            build_tmed2_datalist,
            command=[str(flat / "images"), str(flat / "masks"), "--validation_fraction=0.2", "--test_fraction=0.3"],
        )
    assert capsys.readouterr().out.strip() == str(flat / "datalist.json")
    assert {name: len(part) for name, part in sections(flat / "datalist.json").items()}["training"] == 24
