# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import CenterSpatialCropd, Compose, LoadImaged, Resized, ScaleIntensityRanged, SpatialPadd
from PIL import Image

from monai_debias.audit import audit
from monai_debias.audit.checks import PatchUsed
from monai_debias.audit.mask_files import write_allowed_masks
from monai_debias.data import load_datalist, save_datalist
from monai_debias.transforms import RandBackMixd

READ = {"keys": ["image", "mask"], "ensure_channel_first": True, "allow_missing_keys": True}
BOTH = {"keys": ["image", "mask"], "allow_missing_keys": True}


def picture(i: int, mark: int) -> np.ndarray:
    """48 rows, 64 columns, noise; a mark at the top of the fourth eighth of the columns is as bright as the class."""
    image = np.random.default_rng(i).integers(0, 100, (48, 64)).astype(np.uint8)
    image[2:8, 26:34] = 250 * mark
    return image


def write_picture(path, image):
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".png":
        Image.fromarray(image).save(path)
    else:
        volume = np.repeat(image[..., None], 8, 2)
        nibabel.save(nibabel.Nifti1Image(volume, np.diag([2.0, 2, 3, 1])), path)


def data_set(folder, suffix: str, n: int = 120):
    folder.mkdir()
    sections: dict[str, list] = {"training": [], "test": []}
    for i in range(n):
        file = folder / f"{i}{suffix}"
        write_picture(file, picture(i, i % 2))
        item = {"image": file.name, "label": i % 2, "patient_id": f"p{i}"}
        sections["test" if i >= 20 else "training"].append(item)
    save_datalist(folder, sections, ["no", "yes"], "made")
    return folder


def transform_of(suffix: str, *spatial) -> Compose:
    size = (24, 32, 4) if suffix == ".nii.gz" else (24, 32)
    if suffix == ".png":
        size = (32, 24)  # MONAI's reader of pictures has columns first
    scale = ScaleIntensityRanged("image", 0, 255, 0, 1)
    return Compose([LoadImaged(**READ), *spatial, Resized(**BOTH, spatial_size=size, mode="nearest"), scale])


def reads_the_mark(suffix: str):
    """Decides by the brightest place of the top rows."""

    def network(x):
        x = x.transpose(2, 3) if suffix == ".png" else x
        return 20 * x[:, 0, 1:4, 13:17].flatten(1).mean(1, keepdim=True) - 10

    return network


def audited(folder, suffix, transform):
    items = load_datalist(folder, "test")
    return audit(reads_the_mark(suffix), [{**i, **transform(i)} for i in items], "binary", checks=[PatchUsed()])


@pytest.mark.parametrize("suffix", [".png", ".npy", ".nii.gz"])
def test_each_image_gets_a_mask_of_its_file_that_hides_the_mark_and_a_training_takes_it(tmp_path, suffix):
    folder, transform = data_set(tmp_path / "data", suffix), transform_of(suffix)
    (folder / f"3{suffix}").write_bytes(b"damaged")
    before = (folder / "datalist.json").read_bytes()
    found = audited(folder, suffix, transform)
    assert found.findings[0].verdict == "found"
    out = tmp_path / "out"
    assert write_allowed_masks(found, folder, out, transform) == out / "datalist.json"
    assert (folder / "datalist.json").read_bytes() == before
    training = load_datalist(out, "training")
    assert [i for i, item in enumerate(training) if "mask" not in item] == [3]
    sound = [item for item in training if "mask" in item][:4]
    samples = [transform(item) for item in sound]
    for sample in samples:
        sample["mask"] = (sample["mask"] > 0).to(torch.uint8)  # a picture has 0 and 255, as LoadMaskd takes it
    marks = transform({"image": sound[0]["image"]})
    assert samples[0]["mask"].shape == marks["image"].shape
    shown = samples[0]["mask"] > 0
    turned = shown[0].T if suffix == ".png" else shown[0]
    assert not turned[1:4, 13:17].any()
    assert turned.float().mean() > 0.7
    mixed = RandBackMixd("image", "mask", donors=samples[1:2], prob=1.0)(samples[0])["image"]
    assert torch.equal(mixed[~shown], samples[1]["image"][~shown])
    assert torch.equal(mixed[shown], samples[0]["image"][shown])
    content = json.loads((out / "datalist.json").read_text())
    assert content["labels"] == {"0": "no", "1": "yes"}
    assert write_allowed_masks(found, folder, out, transform)  # again, over its own


def test_crops_are_undone(tmp_path):
    folder = data_set(tmp_path / "data", ".npy")
    transform = transform_of(".npy", CenterSpatialCropd(**BOTH, roi_size=(48, 60)))
    found = audited(folder, ".npy", transform)
    write_allowed_masks(found, folder, tmp_path / "out", transform)
    mask = np.load(tmp_path / "out" / "masks" / "0.npy.npy")
    assert mask.shape == (48, 64)
    assert not mask[3:7, 28:32].any()


def test_padding_counts_not_and_arrays_may_have_a_channel(tmp_path, caplog):
    found = audited(data_set(tmp_path / "data", ".npy"), ".npy", transform_of(".npy"))
    padded = transform_of(".npy", SpatialPadd(**BOTH, spatial_size=(96, 64), method="end"))
    assert write_allowed_masks(found, data_set(tmp_path / "low", ".npy", 22), tmp_path / "out", padded)
    mask = np.load(load_datalist(tmp_path / "out", "training")[0]["mask"])
    assert mask.shape == (48, 64)
    assert not mask[4:8, 26:34].any()
    assert mask[32:].all()
    above = Compose([*padded.transforms[:1], SpatialPadd(**BOTH, spatial_size=(400, 64)), *padded.transforms[2:]])
    with pytest.raises(ValueError, match=r"no image of .* gets a mask"):  # the region is in the padding of each
        write_allowed_masks(found, tmp_path / "low", tmp_path / "none", above)
    assert "lies outside of it, where a transform pads" in caplog.text
    folder = data_set(tmp_path / "channel", ".npy", 22)
    for file in folder.glob("*.npy"):
        np.save(file, np.load(file)[None])
    read = LoadImaged(**{**READ, "ensure_channel_first": False})
    assert write_allowed_masks(found, folder, tmp_path / "o", Compose([read, *transform_of(".npy").transforms[1:]]))
    assert np.load(load_datalist(tmp_path / "o", "training")[0]["mask"]).shape == (1, 48, 64)


def test_refusals(tmp_path):
    folder, transform = data_set(tmp_path / "data", ".npy", 80), transform_of(".npy")
    found = audited(folder, ".npy", transform)
    with pytest.raises(FileExistsError, match="is not of an audit of"):
        write_allowed_masks(found, folder, folder, transform)
    with pytest.raises(ValueError, match="does not make of its mask what was found"):
        write_allowed_masks(found, folder, tmp_path / "a", lambda item: transform({"image": item["image"]}))
    assert [path for path in (tmp_path / "a").rglob("*") if path.is_file()] == []
    clean = audit(
        lambda x: x[:, 0, 12:20, 8:16].mean((1, 2))[:, None] - 0.2,
        [{**i, **transform(i)} for i in load_datalist(folder, "test")],
        "binary",
        checks=[PatchUsed()],
    )
    assert write_allowed_masks(clean, folder, tmp_path / "b", transform) is None
