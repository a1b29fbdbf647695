# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder per class and a folder of masks, all the way into a training: builder, check, loader, masks."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.data import DataLoader, Dataset, NibabelReader
from monai.transforms import Compose, LoadImaged
from PIL import Image

from monai_debias.data import ImageFileReader, build_folder_datalist, check_datalist, load_datalist, with_masks
from monai_debias.transforms import LoadMaskd

SHAPE = (24, 32)
EXAMPLES = {with_masks: {"files": ["in/a.png", "in/b.png"], "path": "in"}}


def save_png(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(path.with_name(f"{path.name}.png"))


def save_nifti(path: Path, values: np.ndarray) -> None:
    nib.Nifti1Image(values.T, np.eye(4)).to_filename(path.with_name(f"{path.name}.nii.gz"))


def make_classes(root: Path, save: Callable, save_mask: Callable) -> Path:
    """Ten patients, each with an image of two classes and its mask: the left half, apart from a rim."""
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:20, 4:16] = 255
    for name in ("benign", "malignant"):
        for folder in (root / name / "2024", root / "masks" / name / "2024"):
            folder.mkdir(parents=True)
        for n in range(10):
            save(root / name / "2024" / f"p{n}", rng.integers(0, 256, SHAPE, dtype=np.uint8))
            save_mask(root / "masks" / name / "2024" / f"p{n}", mask)
    return root


def build(root: Path, **options) -> str:
    return build_folder_datalist(str(root), r"p(\d)", masks=str(root / "masks"), **options)


def left_out(root: Path) -> dict[str, str]:
    with (root / "left_out.csv").open(newline="") as file:
        return {Path(row["file"]).name: row["reason"] for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("save", "save_mask", "reader", "shape"),
    [
        (save_png, save_png, ImageFileReader, SHAPE),
        (save_nifti, save_nifti, NibabelReader, SHAPE[::-1]),
        (save_nifti, save_png, ImageFileReader, SHAPE),
    ],
    ids=["PNG", "NIfTI", "NIfTI with masks in PNG"],
)
def test_from_folders_to_a_batch_with_masks(tmp_path, save, save_mask, reader, shape):
    root = make_classes(tmp_path, save, save_mask)
    build(root, reader=reader())
    assert left_out(root) == {}
    assert check_datalist(root, reader=reader(), progress=False) == []
    items = load_datalist(root, "training", ["benign", "malignant"])
    load = LoadImaged("image", reader=reader(), ensure_channel_first=True, image_only=True)
    pipeline = Compose([load, LoadMaskd(reader=reader())])
    (batch,) = DataLoader(Dataset(items, pipeline), batch_size=len(items))
    assert batch["image"].shape == batch["mask"].shape == (len(items), 1, *shape)
    left = batch["mask"][..., :16] if shape == SHAPE else batch["mask"][:, :, :16]
    assert int(left.sum()) == int(batch["mask"].sum()) == len(items) * 16 * 12


def test_images_without_a_mask_are_named_and_stay(tmp_path, caplog):
    root = make_classes(tmp_path, save_png, save_png)
    for name in ("benign/2024/p0.png", "malignant/2024/p3.png"):
        (root / "masks" / name).unlink()
    build(root)
    assert "2 of 20 images have no mask in" in caplog.text
    assert "benign/2024/p0.png" in caplog.text
    items = [item for section in ("training", "validation", "test") for item in load_datalist(root, section)]
    assert sorted(Path(item["image"]).name for item in items if "mask" not in item) == ["p0.png", "p3.png"]


def test_masks_of_no_image_are_counted_and_named(tmp_path, caplog):
    root = make_classes(tmp_path, save_png, save_png)
    save_png(root / "masks" / "benign" / "stray", np.ones(SHAPE, np.uint8))
    (root / "masks" / "notes.txt").write_text("drawn by hand")
    build(root)
    assert left_out(root) == {
        "stray.png": "is a mask without an image.",
        "notes.txt": "does not have the suffix of a mask.",
    }
    assert "20 files are used; 2 left out (2 unrelated)" in caplog.text


def test_masks_that_cannot_be_told_apart_or_belong_to_nothing(tmp_path):
    root = make_classes(tmp_path, save_png, save_png)
    save_nifti(root / "masks" / "benign" / "2024" / "p0", np.ones(SHAPE, np.uint8))
    with pytest.raises(ValueError, match=r"p0\.nii\.gz and .*p0\.png are masks of the same image"):
        build(root)
    (root / "masks").rename(root / "drawn")
    (root / "masks").mkdir()
    with pytest.raises(FileNotFoundError, match="has no files"):
        build(root)
    save_png(root / "masks" / "p0", np.ones(SHAPE, np.uint8))
    (root / "drawn").rename(root.parent / "drawn")
    with pytest.raises(ValueError, match=r"none of the 1 masks in .* expected the path of the image"):
        build(root)
    with pytest.raises(FileNotFoundError, match=r"the folder of masks .*gone does not exist"):
        build_folder_datalist(str(root), "(.*)", masks=str(root / "gone"))


def test_files_named_by_a_uid_keep_their_numbers(tmp_path, write_dicom):
    for name in ("benign", "malignant"):
        for folder in (tmp_path / name, tmp_path / "masks" / name):
            folder.mkdir(parents=True)
        for n in range(10):
            write_dicom(tmp_path / name / f"1.2.840.{n}", np.eye(24, 32, dtype=np.uint8), PatientID=f"p{n}")
            save_png(tmp_path / "masks" / name / f"1.2.840.{n}", np.eye(24, 32, dtype=np.uint8))
    build_folder_datalist(str(tmp_path), masks=str(tmp_path / "masks"))
    for item in load_datalist(tmp_path, "training"):
        assert Path(item["mask"]).name == f"{Path(item['image']).name}.png"


def test_masks_of_images_that_are_judged(tmp_path, caplog):
    """By the name of the image, apart from the suffix; an image without one stays."""
    images = [tmp_path / "in" / name for name in ("a.png", "ward/b.npy", "ward/c.png")]
    for image in images:
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    (tmp_path / "masks" / "ward").mkdir(parents=True)
    for name in ("a", "ward/b"):
        save_png(tmp_path / "masks" / name, np.ones(SHAPE, np.uint8))
    files = [str(image) for image in images]
    items = with_masks(files, tmp_path / "in", tmp_path / "masks")
    masks = {"a.png": str(tmp_path / "masks" / "a.png"), "b.npy": str(tmp_path / "masks" / "ward" / "b.png")}
    assert [(item["image"], item.get("mask")) for item in items] == [(f, masks.get(Path(f).name)) for f in files]
    assert f"1 of 3 images have no mask in {tmp_path / 'masks'}, such as {files[2]}" in caplog.text
    single = with_masks([files[0]], files[0], tmp_path / "masks")
    assert single == [{"image": files[0], "mask": masks["a.png"]}]
    assert with_masks(files, tmp_path / "in") == [{"image": file} for file in files]
    with pytest.raises(FileNotFoundError, match=r"the folder of masks .*gone does not exist"):
        with_masks(files, tmp_path / "in", tmp_path / "gone")


def test_one_mask_may_serve_two_images(tmp_path):
    make_classes(tmp_path, save_png, save_png)
    mask = tmp_path / "masks" / "benign" / "2024" / "p1.png"
    mask.unlink()
    mask.symlink_to("p0.png")
    build(tmp_path)
    items = [item for section in ("training", "validation", "test") for item in load_datalist(tmp_path, section)]
    assert all(Path(item["mask"]).name == Path(item["image"]).name for item in items)
