# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import csv
import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path

import fire
import nibabel as nib
import numpy as np
import pytest
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, Resized
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound.frames import SelectFramed
from monai_debias.apps.ultrasound.load import LoadUltrasoundd
from monai_debias.data import FileReadWarning, LeftOutError, build_folder_datalist
from monai_debias.data.datalist import load_datalist
from tests.samples import VIEWS, make_class_folders

EXAMPLES = {
    build_folder_datalist: lambda folder: {
        "dataset_dir": make_class_folders(folder),
        "patient_regex": "^(p[0-9]+)_",
        "class_names": VIEWS,
        "overwrite": True,
    }
}


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
    assert content(dicoms)["labels"] == {"0": "A4C", "1": "PLAX"}
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
    still = next(item for item in load_datalist(dicoms, "training") if item["label"] == 1)
    np.testing.assert_array_equal(LoadUltrasoundd("image")(still)["image"][0], PIXELS)


def test_still_folder_with_regex_and_class_order(stills):
    build_folder_datalist(str(stills), patient_regex=r"^(p\d+)_")
    assert content(stills)["labels"] == {"0": "A2C", "1": "PSAX", "2": "other"}
    assert {item["patient_id"] for part in sections(stills).values() for item in part} == {f"p{n}" for n in range(5)}
    build_folder_datalist(str(stills), patient_regex=r"^(p\d+)_", class_names="other, A2C,PSAX", overwrite=True)
    assert content(stills)["labels"] == {"0": "other", "1": "A2C", "2": "PSAX"}
    for part in sections(stills).values():
        assert all(item["image"].startswith(content(stills)["labels"][str(item["label"])] + "/") for item in part)
    with pytest.raises(ValueError, match=r"class_names are PSAX, A2C, but the folders of .* are A2C, PSAX, other"):
        build_folder_datalist(str(stills), patient_regex=r"^(p\d+)_", class_names=["PSAX", "A2C"], overwrite=True)


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


def left_out(root):
    """File name, kind and reason of each file that was left out."""
    with (root / "left_out.csv").open(newline="") as file:
        return {Path(row["file"]).name: (row["kind"], row["reason"]) for row in csv.DictReader(file)}


def make_a_mess(root):
    """Add to the folders of the fixture ``dicoms`` what is unrelated, or not whole."""
    (root / "DICOMDIR").write_bytes(Path(get_testdata_file("DICOMDIR")).read_bytes())
    (root / ".git").mkdir()
    for name, content_ in (
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("table.csv", b"a,b"),
        (".DS_Store", b"x"),
        ("0.dcm", b""),
    ):
        (root / "PLAX" / name).write_bytes(content_)
    shutil.copy(get_testdata_file("CT_small.dcm"), root / "PLAX" / "ct.dcm")
    shutil.copy(get_testdata_file("reportsi.dcm"), root / "PLAX" / "report")
    os.mkfifo(root / "PLAX" / "pipe.dcm")
    (root / "PLAX" / "again").symlink_to(root / "PLAX")
    (root / "PLAX" / "gone.dcm").symlink_to(root / "nowhere")
    plain, compressed, still = root / "A4C" / "1.dcm", root / "A4C" / "2.dcm", root / "PLAX" / "IM0000"
    plain.write_bytes(plain.read_bytes()[: -PIXELS.size])
    still.write_bytes(still.read_bytes()[:-300])
    ds = dcmread(compressed)
    ds.NumberOfFrames += 1
    ds.save_as(compressed)


UNRELATED = {"DICOMDIR", ".git", "Thumbs.db", "table.csv", ".DS_Store", "report", "pipe.dcm", "again"}
UNREADABLE = {"0.dcm", "gone.dcm", "1.dcm", "2.dcm", "IM0000", "ct.dcm"}


def test_what_cannot_be_used_is_left_out_and_named(dicoms, caplog):
    make_a_mess(dicoms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_folder_datalist(str(dicoms))
    assert sum(map(len, sections(dicoms).values())) == 17  # 20 less two clips and a still
    listed = left_out(dicoms)
    assert {name for name, (kind, _) in listed.items() if kind == "unrelated"} == UNRELATED
    assert {name for name, (kind, _) in listed.items() if kind == "unreadable"} == UNREADABLE
    assert listed["ct.dcm"][1].startswith("the pixels are signed")
    assert "modality SR" in listed["report"][1]
    assert "not in the folder of a class" in listed["DICOMDIR"][1]
    assert "which is searched anyway" in listed["again"][1]
    assert "does not exist" in listed["gone.dcm"][1]
    assert all(reason and str(dicoms) not in reason.partition("link to")[0] for _, reason in listed.values())
    assert "17 files are used; 14 left out (6 unreadable, 8 unrelated)" in caplog.text
    assert "MRN" not in (dicoms / "left_out.csv").read_text()


@pytest.mark.filterwarnings("ignore")
def test_strict_leaves_nothing_out(dicoms):
    build_folder_datalist(str(dicoms), strict=True)
    assert left_out(dicoms) == {}
    before = content(dicoms)
    make_a_mess(dicoms)
    with pytest.raises(LeftOutError, match=r"strict.*14 left out \(6 unreadable, 8 unrelated\)\n.*\n.*DICOMDIR"):
        build_folder_datalist(str(dicoms), overwrite=True, strict=True)
    assert content(dicoms) == before
    assert left_out(dicoms).keys() == UNRELATED | UNREADABLE


def test_a_class_that_nothing_is_left_of_is_an_error(dicoms):
    for path in (dicoms / "PLAX").iterdir():
        path.write_text("remember the milk")
    with pytest.raises(LeftOutError, match=r"no file of PLAX is left: 10 left out \(10 unrelated\)\n.*IM0000: is"):
        build_folder_datalist(str(dicoms))
    assert not (dicoms / "datalist.json").exists()


def test_warnings_of_the_reader_are_shown(dicoms, write_dicom):
    write_dicom(dicoms / "PLAX" / "IM0003", PIXELS, PatientID="MRN-3", HighBit=3)
    with pytest.warns(FileReadWarning, match=r"IM0003: HighBit is 3"):
        build_folder_datalist(str(dicoms))


def test_videos_and_nifti_in_a_folder_per_class(tmp_path):
    cv2 = pytest.importorskip("cv2")
    clip = np.stack([PIXELS] * 4)
    for view in ("A2C", "A4C"):
        (tmp_path / view).mkdir()
        for patient in range(5):
            nib.Nifti1Image(clip.T, np.eye(4)).to_filename(tmp_path / view / f"p{patient}_0.nii.gz")
            np.save(tmp_path / view / f"p{patient}_1.npy", clip)
            codec = cv2.VideoWriter_fourcc(*"HFYU")
            video = cv2.VideoWriter(str(tmp_path / view / f"p{patient}_2.avi"), cv2.CAP_FFMPEG, codec, 25.0, (32, 24))
            for frame in clip:
                video.write(np.repeat(frame[..., None], 3, axis=2))
            video.release()
    build_folder_datalist(str(tmp_path), patient_regex=r"^(p\d+)_")
    items = load_datalist(tmp_path, "training")
    assert {Path(item["image"]).suffix for item in items} == {".gz", ".npy", ".avi"}
    for item in items:
        np.testing.assert_array_equal(LoadUltrasoundd("image")(item)["image"][0], clip.transpose(1, 2, 0))


def test_directory_errors(tmp_path, dicoms):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build_folder_datalist(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no folders"):
        build_folder_datalist(str(tmp_path / "empty"))
    (tmp_path / "empty" / "PLAX").mkdir()
    with pytest.raises(FileNotFoundError, match=r"the folder .*PLAX has no files"):
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
    fire.Fire(
        build_folder_datalist, command=[str(stills), "--patient_regex=^(p[0-9]+)_", "--class_names=other,A2C,PSAX"]
    )
    assert capsys.readouterr().out.strip() == str(stills / "datalist.json")
    assert content(stills)["labels"]["0"] == "other"
    assert Path(load_datalist(stills, "training")[0]["image"]).is_file()


def test_a_link_to_an_image_of_the_data_set_is_no_second_one(dicoms):
    (dicoms / "PLAX" / "copy.dcm").symlink_to(dicoms / "PLAX" / "IM0000")
    build_folder_datalist(str(dicoms))
    assert sum(map(len, sections(dicoms).values())) == 20
    assert "which is searched anyway" in left_out(dicoms)["copy.dcm"][1]
    (dicoms / "A4C" / "copy.dcm").symlink_to(dicoms / "PLAX" / "IM0000")
    with pytest.raises(ValueError, match=r"A4C/copy.dcm and .*PLAX/IM0000 are one file by a link"):
        build_folder_datalist(str(dicoms), overwrite=True)
