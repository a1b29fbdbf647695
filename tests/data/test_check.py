# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A data set with a defect of each kind, and one without any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.data import NibabelReader, NumpyReader
from PIL import Image

from monai_debias.data import check_datalist
from tests.samples import make_class_folders

EXAMPLES = {check_datalist: lambda folder: {"datalist": make_class_folders(folder), "progress": False}}


_MASK = np.zeros((40, 60), np.uint8)
_MASK[10:30, 15:45] = 255


class Cohort:
    """Items of a datalist with their files, to be spoilt; all sound at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content: dict[str, Any] = {"description": "", "labels": {"0": "PLAX", "1": "PSAX"}}
        self.rng = np.random.default_rng(0)
        for section, patient, n in (("training", "a", 8), ("validation", "b", 2), ("test_same", "c", 2)):
            self.content[section] = [self.item(f"{section}{i}", i % 2, f"{patient}{i}") for i in range(n)]
        self.content["test_random"] = [dict(item) for item in self.content["test_same"]]  # the same images: paired
        self.training = self.content["training"]

    def item(self, name: str, label: int, patient: str) -> dict[str, Any]:
        np.save(self.folder / f"{name}.npy", self.rng.integers(0, 256, _MASK.shape, dtype=np.uint8))
        Image.fromarray(_MASK).save(self.folder / f"{name}_mask.png")
        return {"image": f"{name}.npy", "label": label, "patient_id": patient, "mask": f"{name}_mask.png"}

    def mask(self, number: int, values: np.ndarray) -> None:
        np.save(self.folder / f"spoilt{number}.npy", values)
        self.training[number]["mask"] = f"spoilt{number}.npy"

    def check(self) -> list[tuple[str, str, int | None, str]]:
        (self.folder / "datalist.json").write_text(json.dumps(self.content))
        found = check_datalist(self.folder, progress=False)
        return [(d.kind, d.section, d.item, Path(d.file).name) for d in found]


@pytest.fixture(name="cohort")
def fixture_cohort(tmp_path) -> Cohort:
    return Cohort(tmp_path)


def test_nothing_is_wrong_with_a_sound_data_set(cohort):
    assert cohort.check() == []
    cohort.training[0]["mask"] = None
    del cohort.training[1]["mask"]
    cohort.training[2]["note"] = None
    cohort.mask(3, _MASK // 255)
    cohort.mask(4, _MASK > 0)
    cohort.mask(5, _MASK.astype(np.float64))
    assert cohort.check() == []


def test_masks(cohort):
    cohort.mask(0, _MASK.T)
    cohort.mask(1, 0 * _MASK)
    cohort.mask(2, 0 * _MASK + 255)
    cohort.mask(3, 255 - _MASK)
    cohort.mask(4, _MASK // 2)
    small = 0 * _MASK
    small[20:24, 20:24] = 1
    cohort.mask(5, small)
    cohort.training[6]["mask"] = "gone.png"
    assert cohort.check() == [
        ("shape mismatch", "training", 0, "spoilt0.npy"),
        ("empty", "training", 1, "spoilt1.npy"),
        ("full", "training", 2, "spoilt2.npy"),
        ("inverted", "training", 3, "spoilt3.npy"),
        ("not binary", "training", 4, "spoilt4.npy"),
        ("missing", "training", 6, "gone.png"),
        ("area outlier", "training", 5, "spoilt5.npy"),
    ]


def test_images(cohort):
    (cohort.folder / cohort.training[0]["image"]).write_bytes(b"no array")
    (cohort.folder / "training1_mask.png").write_bytes(b"no picture")
    np.save(cohort.folder / "training2.npy", 0 * _MASK)
    (cohort.folder / "validation0.npy").write_bytes((cohort.folder / "training3.npy").read_bytes())  # another label
    (cohort.folder / "training5.npy").unlink()
    Image.fromarray(np.load(cohort.folder / "training6.npy")).save(cohort.folder / "other.png")
    cohort.training[7]["image"] = "other.png"  # the same pixels in another file
    assert cohort.check() == [
        ("unreadable", "training", 0, "training0.npy"),
        ("unreadable", "training", 1, "training1_mask.png"),
        ("constant", "training", 2, "training2.npy"),
        ("missing", "training", 5, "training5.npy"),
        ("duplicate", "training", 7, "other.png"),
        ("duplicate", "validation", 0, "validation0.npy"),
    ]
    (duplicate,) = [d for d in check_datalist(cohort.folder, progress=False) if d.section == "validation"]
    assert duplicate.detail.startswith("has the same pixels as training 3 (")
    assert duplicate.detail.endswith("and the labels 1 and 0")


def test_the_datalist_itself(cohort):
    del cohort.training[0]["patient_id"]
    cohort.training[1]["label"] = 7
    cohort.training[2]["label"] = "0"
    cohort.training[3]["image"] = 4
    cohort.training.append("p.png")
    cohort.content["validation"] = cohort.content["validation"][:1]
    cohort.content["validation"][0]["patient_id"] = "a5"
    cohort.content["empty"] = []
    found = cohort.check()
    assert [f for f in found if f[0] == "datalist"] == [
        *(("datalist", "training", n, "") for n in (0, 1, 2, 3, 8)),
        ("datalist", "validation", None, ""),
        ("datalist", "empty", None, ""),
    ]
    assert [f[0] for f in found if f[0] != "datalist"] == ["patient in two splits", "label missing"]
    assert not any("a5" in defect.detail for defect in check_datalist(cohort.folder, progress=False))


def test_near_duplicates(cohort):
    """Among few images, what is the same but for the size of a step of grey."""
    image = np.load(cohort.folder / cohort.training[4]["image"])
    np.save(cohort.folder / "validation0.npy", 255 - image)
    np.save(cohort.folder / "validation1.npy", (image * 100.0).astype(np.uint16))
    np.save(cohort.folder / "test_same1.npy", np.load(cohort.folder / "test_same0.npy") // 2)  # in one section
    assert cohort.check() == [
        ("near duplicate", "validation", 0, "validation0.npy"),
        ("near duplicate", "validation", 1, "validation1.npy"),
    ]
    one, two = check_datalist(cohort.folder, progress=False)
    assert one.detail.startswith("is nearly the same as a negative of training 4 (")
    assert two.detail.endswith(", cosine 1.000, and the labels 0 and 1")


def test_any_reader(tmp_path):
    import nibabel

    items = []
    for n in range(4):
        volume = np.random.default_rng(n).integers(0, 9, (8, 9, 10)).astype(np.int16)
        nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / f"{n}.nii.gz")
        region = np.zeros((8, 9, 10 - n // 3), np.uint8)
        region[2:6, 2:6, 2:6] = 1
        nibabel.Nifti1Image(region, np.eye(4)).to_filename(tmp_path / f"m{n}.nii.gz")
        items.append({"image": f"{n}.nii.gz", "mask": f"m{n}.nii.gz", "label": n % 2, "patient_id": str(n)})
    content = {"labels": {"0": "healthy", "1": "sick"}, "test": items}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    (defect,) = check_datalist(tmp_path, NibabelReader(), progress=False)
    assert (defect.kind, defect.item) == ("shape mismatch", 3)


@pytest.mark.parametrize("section", ["training", "validation"])
def test_a_training_takes_two_sections(cohort, section):
    cohort.content[section] = {"0": cohort.content[section]}  # which is not a list
    assert cohort.check() == [("datalist", "", None, "")]
    (defect,) = check_datalist(cohort.folder, progress=False)
    assert f"no section {section!r}" in defect.detail
    del cohort.content["training"], cohort.content["validation"]
    assert cohort.check() == []  # to be evaluated only


@pytest.mark.parametrize("values", [np.full((4, 4), "a"), np.zeros((0, 4)), np.zeros((4, 4), [("a", "u1")])])
def test_what_a_reader_returns_that_is_not_numbers_stops_nothing(cohort, values):
    np.save(cohort.folder / "training0.npy", values)
    for item in cohort.training:
        del item["mask"]
    cohort.content = {"labels": cohort.content["labels"], "test": cohort.training}
    cohort.check()
    (defect,) = check_datalist(cohort.folder, NumpyReader(), progress=False)
    assert (defect.kind, defect.item) == ("unreadable", 0)
    assert "expected numbers" in defect.detail
