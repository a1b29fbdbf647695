# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, Resized
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from monai_debias.data.datalist import load_datalist
from monai_debias.data.image_folder import build_folder_datalist
from monai_debias.transforms.frames import SelectFramed
from monai_debias.transforms.load_ultrasound import LoadUltrasoundd

PIXELS = np.random.RandomState(0).randint(0, 256, (24, 32), dtype=np.uint8)


@pytest.fixture
def dicoms(tmp_path, write_dicom):
    """Ten patients with a clip of one view and a still of another, in a folder per class."""
    for view in ("A4C", "PLAX"):
        (tmp_path / view).mkdir()
    for n in range(10):
        clip = np.roll(np.stack([PIXELS] * 3), n, axis=1)
        write_dicom(tmp_path / "A4C" / f"{n}.dcm", clip, PatientID=f"MRN-{n}", jpeg=n % 2 == 0)
        write_dicom(tmp_path / "PLAX" / f"IM{n:04d}", PIXELS, PatientID=f"MRN-{n}")
    return tmp_path


@pytest.fixture
def stills(tmp_path):
    """PNG, JPEG and NumPy stills of five patients, in a folder per class."""
    for view in ("other", "PSAX", "A2C"):
        (tmp_path / view).mkdir()
        for n in range(5):
            Image.fromarray(PIXELS).save(tmp_path / view / f"p{n}_0.png")
            Image.fromarray(PIXELS).save(tmp_path / view / f"p{n}_1.jpg")
            np.save(tmp_path / view / f"p{n}_2.npy", PIXELS)
    return tmp_path


def content(root):
    return json.loads((root / "datalist.json").read_text())


def sections(root):
    return {name: part for name, part in content(root).items() if isinstance(part, list)}


def test_dicom_folder(dicoms):
    assert build_folder_datalist(str(dicoms)) == str(dicoms / "datalist.json")
    assert content(dicoms)["labels"] == {"0": "PLAX", "1": "A4C"}
    parts = sections(dicoms)
    assert {name: len(part) for name, part in parts.items()} == {"training": 14, "validation": 2, "test": 4}
    groups = [{item["patient_id"] for item in part} for part in parts.values()]
    assert set.union(*groups) == {hashlib.sha256(f"MRN-{n}".encode()).hexdigest()[:12] for n in range(10)}
    assert sum(map(len, groups)) == 10
    assert "MRN" not in (dicoms / "datalist.json").read_text()


def test_load_as_a_user_does(dicoms):
    build_folder_datalist(str(dicoms))
    pipeline = Compose([LoadUltrasoundd("image"), SelectFramed("image"), Resized("image", (16, 16))])
    (batch,) = DataLoader(Dataset(load_datalist(dicoms, "test"), pipeline), batch_size=4)
    assert batch["image"].shape == (4, 1, 16, 16)
    assert sorted(batch["label"].tolist()) == [0, 0, 1, 1]
    still = next(item for item in load_datalist(dicoms, "training") if item["label"] == 0)
    np.testing.assert_array_equal(LoadUltrasoundd("image")(still)["image"][0], PIXELS)


def test_still_folder_with_regex_and_class_order(stills):
    build_folder_datalist(str(stills), patient_regex=r"^(p\d+)_")
    assert content(stills)["labels"] == {"0": "PSAX", "1": "A2C", "2": "other"}
    assert {item["patient_id"] for part in sections(stills).values() for item in part} == {f"p{n}" for n in range(5)}
    build_folder_datalist(str(stills), patient_regex=r"^(p\d+)_", classes="other, A2C,PSAX", overwrite=True)
    assert content(stills)["labels"] == {"0": "other", "1": "A2C", "2": "PSAX"}
    for part in sections(stills).values():
        assert all(item["image"].startswith(content(stills)["labels"][str(item["label"])] + "/") for item in part)
    with pytest.raises(ValueError, match=r"classes are PSAX, A2C, but the folders of .* are A2C, PSAX, other"):
        build_folder_datalist(str(stills), patient_regex=r"^(p\d+)_", classes=["PSAX", "A2C"], overwrite=True)


def test_patient_folders(stills):
    for path in list(stills.glob("*/*.*")):
        (path.parent / path.name[:2]).mkdir(exist_ok=True)
        path.rename(path.parent / path.name[:2] / path.name[3:])
    build_folder_datalist(str(stills), patient_regex="^([^/]+)/")
    assert {item["patient_id"] for part in sections(stills).values() for item in part} == {f"p{n}" for n in range(5)}


def test_each_file_a_patient_only_on_request(stills):
    with pytest.raises(ValueError, match=r"45 of 45 files have no Patient ID, .*Pass a patient_regex"):
        build_folder_datalist(str(stills))
    with pytest.raises(ValueError, match=r"files do not fit the patient_regex '\^\(x"):
        build_folder_datalist(str(stills), patient_regex=r"^(x\d+)_")
    with pytest.raises(ValueError, match="has no group"):
        build_folder_datalist(str(stills), patient_regex=r"^p\d+_")
    assert not (stills / "datalist.json").exists()
    build_folder_datalist(str(stills), patient_regex="(.*)")
    assert len({item["patient_id"] for part in sections(stills).values() for item in part}) == 15


def test_dicom_without_patient_id(dicoms, write_dicom):
    write_dicom(dicoms / "PLAX" / "anonymous.dcm", PIXELS, PatientID="")
    with pytest.raises(ValueError, match=r"1 of 21 files have no Patient ID, such as .*anonymous\.dcm"):
        build_folder_datalist(str(dicoms))


def test_split_folders_are_kept(dicoms):
    for split, numbers in (("train", range(6)), ("val", range(6, 8)), ("test_other_hospital", range(8, 10))):
        for view, name in (("A4C", "{}.dcm"), ("PLAX", "IM{:04d}")):
            (dicoms / split / view).mkdir(parents=True)
            for n in numbers:
                (dicoms / view / name.format(n)).rename(dicoms / split / view / name.format(n))
    for view in ("A4C", "PLAX"):
        with pytest.raises(ValueError, match="split folders and others"):
            build_folder_datalist(str(dicoms))
        (dicoms / view).rmdir()
    build_folder_datalist(str(dicoms))
    lengths = {name: len(part) for name, part in sections(dicoms).items()}
    assert lengths == {"training": 12, "validation": 4, "test_other_hospital": 4}
    shutil.copy(dicoms / "train" / "PLAX" / "IM0000", dicoms / "val" / "PLAX" / "copy.dcm")
    with pytest.raises(ValueError, match=r"1 patient is both in 'training' and in 'validation', .*copy\.dcm") as caught:
        build_folder_datalist(str(dicoms), overwrite=True)
    assert "MRN" not in str(caught.value)
    (dicoms / "validation").mkdir()
    with pytest.raises(ValueError, match="two folders for one split"):
        build_folder_datalist(str(dicoms), overwrite=True)


@pytest.mark.filterwarnings("ignore:End of file reached")
def test_unusable_files_are_listed(dicoms):
    shutil.copy(get_testdata_file("CT_small.dcm"), dicoms / "PLAX" / "ct.dcm")
    (dicoms / "PLAX" / "notes.txt").write_text("remember the milk")
    for name in ("IM0000", "IM0001"):
        content_ = (dicoms / "PLAX" / name).read_bytes()
        (dicoms / "PLAX" / name).write_bytes(content_[:-300])
    with pytest.raises(ValueError, match="4 of 22 files cannot be used") as caught:
        build_folder_datalist(str(dicoms))
    for text in ("ct.dcm: is not ultrasound (modality CT", "notes.txt: is not a DICOM", "IM0000", "cut short"):
        assert text in str(caught.value)
    assert not (dicoms / "datalist.json").exists()


def test_clips_that_lost_their_last_frames(dicoms):
    plain, compressed = dicoms / "A4C" / "1.dcm", dicoms / "A4C" / "2.dcm"
    plain.write_bytes(plain.read_bytes()[: -PIXELS.size])
    ds = dcmread(compressed)
    ds.NumberOfFrames += 1
    ds.save_as(compressed)
    with pytest.raises(ValueError, match=r"2 of 20 files cannot be used.*\n.*1\.dcm.*\n.*2\.dcm"):
        build_folder_datalist(str(dicoms))


def test_hidden_files_are_passed_over(dicoms):
    (dicoms / "PLAX" / ".DS_Store").write_text("x")
    (dicoms / ".git").mkdir()
    build_folder_datalist(str(dicoms))
    assert not any(".DS_Store" in item["image"] for part in sections(dicoms).values() for item in part)


def test_directory_errors(tmp_path, dicoms):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build_folder_datalist(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no folders"):
        build_folder_datalist(str(tmp_path / "empty"))
    (tmp_path / "empty" / "PLAX").mkdir()
    with pytest.raises(ValueError, match=r"the folder .*PLAX has no files"):
        build_folder_datalist(str(tmp_path / "empty"))
    (tmp_path / "one" / "PLAX").mkdir(parents=True)
    np.save(tmp_path / "one" / "PLAX" / "a.npy", PIXELS)
    with pytest.raises(ValueError, match=r"has 1 class \(PLAX\); a classifier needs two"):
        build_folder_datalist(str(tmp_path / "one"), patient_regex="(.*)")


def test_existing_datalist_is_kept(dicoms):
    (dicoms / "datalist.json").write_text("{}")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        build_folder_datalist(str(dicoms))
    assert (dicoms / "datalist.json").read_text() == "{}"


def test_one_patient_id_for_all(dicoms, write_dicom):
    for path in dicoms.glob("*/*"):
        write_dicom(path, PIXELS, PatientID="ANONYMOUS")
    with pytest.raises(ValueError, match="1 patients cannot be split into 3 sections"):
        build_folder_datalist(str(dicoms))
    build_folder_datalist(str(dicoms), patient_regex=r"(\d)(?:\.dcm)?$")
    assert {item["patient_id"] for part in sections(dicoms).values() for item in part} == set("0123456789")


def test_from_the_command_line(stills, capsys):
    fire = pytest.importorskip("fire")
    fire.Fire(build_folder_datalist, command=[str(stills), "--patient_regex=^(p[0-9]+)_", "--classes=other,A2C,PSAX"])
    assert capsys.readouterr().out.strip() == str(stills / "datalist.json")
    assert content(stills)["labels"]["0"] == "other"
    assert Path(load_datalist(stills, "training")[0]["image"]).is_file()
