# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, MetaTensor
from monai.transforms import Compose, Lambdad, LoadImaged, MapTransform, RandShiftIntensityd

from monai_debias.data.donors import Donors, possible_donors
from monai_debias.data.prepared import DiskCachedDataset, prepared_dataset


class Counted(MapTransform):
    """Writes down each call beside the file."""

    def __init__(self, log: str, factor: float = 1.0) -> None:
        super().__init__("image")
        self.log, self.factor = log, factor

    def __call__(self, data):
        with Path(self.log).open("a", encoding="utf-8") as file:
            file.write("x")
        return {**data, "image": data["image"] * self.factor}


def calls(log: Path) -> int:
    return len(log.read_text(encoding="utf-8")) if log.exists() else 0


@pytest.fixture
def items(tmp_path):
    found = []
    for n in range(3):
        np.save(tmp_path / f"{n}.npy", np.full((4, 4), n + 1, np.float32))
        found.append({"image": str(tmp_path / f"{n}.npy"), "label": np.array([1.0, -1.0]), "item": f"training {n}"})
    return found


def prepared(items, tmp_path, factor=1.0, **options):
    load = LoadImaged("image", ensure_channel_first=True)
    steps = Compose([load, Counted(str(tmp_path / "log"), factor)])
    return prepared_dataset(items, steps, tmp_path / "cache", progress=False, **options)


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_sample_is_prepared_once_for_all_runs_and_the_same(items, tmp_path, in_memory):
    first = [prepared(items, tmp_path, in_memory=in_memory)[n] for n in range(3)]
    again = [prepared(items, tmp_path, in_memory=in_memory)[n] for n in range(3)]
    assert calls(tmp_path / "log") == 3
    for one, other in zip(first, again, strict=True):
        assert isinstance(other["image"], MetaTensor)
        assert torch.equal(one["image"], other["image"])
        assert other["image"].meta["filename_or_obj"] == one["image"].meta["filename_or_obj"]
        assert (other["item"], np.asarray(other["label"]).tolist()) == (one["item"], [1.0, -1.0])


def test_it_is_prepared_again_if_file_item_or_transforms_have_changed(items, tmp_path):
    def read(changed, **options):
        return float(prepared([changed], tmp_path, in_memory=False, **options)[0]["image"].max())

    log, file = tmp_path / "log", Path(items[0]["image"])
    assert (read(items[0]), calls(log)) == (1.0, 1)
    assert (read(items[0], factor=3.0), calls(log)) == (3.0, 2)
    assert (read({**items[0], "label": 1}), calls(log)) == (1.0, 3)
    before = file.stat()
    np.save(file, np.full((4, 4), 9, np.float32))  # of the same size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert (read(items[0]), calls(log)) == (9.0, 4)
    assert (read(items[0]), calls(log)) == (9.0, 4)


def header_and_values(folder):
    (folder / "a.hea").write_text("a 12 500 5000")
    (folder / "a.dat").write_bytes(b"0")
    return [{"image": str(folder / "a.hea")}, {"image": str(folder / "a")}], folder / "a.dat"


def slices(folder):
    (folder / "series").mkdir()
    (folder / "series" / "1.dcm").write_bytes(b"0")
    return [{"image": str(folder / "series")}], folder / "series" / "1.dcm"


def several_files(folder):
    file = folder / "t2.nii"
    file.write_bytes(b"0")
    return [{"image": [str(folder / "t1.nii"), str(file)]}, {"lung_mask": file}, {"extra": {"other": str(file)}}], file


@pytest.mark.parametrize("write", [header_and_values, slices, several_files])
def test_all_files_that_an_item_names_count(write, tmp_path):
    items, file = write(tmp_path)
    kept = DiskCachedDataset(items, Compose([Counted(str(tmp_path / "log"))]), tmp_path / "cache")
    before = [kept.hash_func(item) for item in items]
    assert [kept.hash_func(item) for item in items] == before
    file.write_bytes(b"10")
    assert all(kept.hash_func(item) != then for item, then in zip(items, before, strict=True))


@pytest.mark.parametrize(
    "pack", [lambda a: a, torch.from_numpy, lambda a: MetaTensor(torch.from_numpy(a)), lambda a: [a]]
)
def test_arrays_in_items_count_with_all_their_values(pack, tmp_path):
    kept = DiskCachedDataset([], Compose([]), tmp_path / "cache")
    values = np.zeros(5000, np.float32)  # printed, an array of so many has its middle left out
    before = kept.hash_func({"image": pack(values)})
    assert kept.hash_func({"image": pack(values)}) == before
    values[2500] = 1
    assert kept.hash_func({"image": pack(values)}) != before


def test_a_file_in_place_of_the_folder_is_told(items, tmp_path):
    with pytest.raises(NotADirectoryError, match=r"cache_dir .*0\.npy is a file: give a folder"):
        DiskCachedDataset(items, Compose([]), items[0]["image"])


def test_a_damaged_file_is_made_anew_and_a_missing_image_is_told(items, tmp_path):
    kept = prepared(items, tmp_path, in_memory=False)
    kept[0]
    (file,) = (tmp_path / "cache").rglob("*.pt")
    content = file.read_bytes()
    value = content.index(np.ones(16, np.float32).tobytes())
    for damaged in (content[:100], content[:value] + b"1" + content[value + 1 :]):  # cut, or a byte of a pixel changed
        file.write_bytes(damaged)
        with pytest.warns(UserWarning, match="is damaged and made anew"):
            assert float(kept[0]["image"].max()) == 1.0
    Path(items[1]["image"]).unlink()
    with pytest.raises(RuntimeError, match="applying transform") as caught:
        kept[1]
    assert items[1]["image"] in str(caught.value.__cause__)
    assert len(list((tmp_path / "cache").rglob("*"))) == 2  # the folder and its file: nothing is left half written


def test_random_transforms_are_not_kept(items, tmp_path):
    steps = Compose([LoadImaged("image"), RandShiftIntensityd("image", 1.0, prob=1.0)]).set_random_state(0)
    kept = DiskCachedDataset(items, steps, tmp_path / "cache")
    assert not torch.equal(kept[0]["image"], kept[0]["image"])


def test_transforms_without_a_name_are_refused(items, tmp_path):
    with pytest.raises(ValueError, match="transforms that cannot be pickled cannot be told from others"):
        prepared_dataset(items, Compose([Lambdad("image", lambda x: x)]), tmp_path / "cache")


def test_donors_of_each_kind_of_data_set(items, tmp_path):
    items = [{**item, "mask": item["image"] if n else None} for n, item in enumerate(items)]
    for options in ({"in_memory": True}, {"in_memory": False}):
        kept = prepared(items, tmp_path, **options)
        assert len(possible_donors(kept, "mask")) == 2
    assert isinstance(prepared(items, tmp_path), CacheDataset)
    ready = [{"image": torch.ones(1, 2, 2), "mask": torch.ones(1, 2, 2)}] * 2
    assert Donors(prepared_dataset(ready, Compose([]), progress=False), ["image"], "mask").in_memory
