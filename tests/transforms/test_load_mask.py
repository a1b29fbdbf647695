# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, PersistentDataset, list_data_collate
from monai.transforms import Compose, LoadImaged
from PIL import Image, ImageFilter
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import LoadUltrasoundd, SelectFramed, UltrasoundReader, UltrasoundSectorMaskd
from monai_debias.data.mask_files import binary_values, looks_inverted
from monai_debias.transforms import LoadMaskd

EXAMPLES = {LoadMaskd: [{"mask_key": "mask"}]}


CLIP = str(get_testdata_file("examples_ybr_color.dcm"))
REGION = np.zeros((24, 32), np.uint8)
REGION[6:18, 4:28] = 1


def save(path: Path, values: Any) -> str:
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        values.save(path)
    return str(path)


def picture(mode: str) -> Image.Image:
    """The region as a picture: black and white, whatever the mode."""
    return Image.fromarray(255 * REGION).convert(mode)


def palette() -> Image.Image:
    """Index 1 is dark red, as annotation tools save masks; no one number says whether that is the index or a grey."""
    indexed = Image.fromarray(REGION.astype(np.uint8)).convert("P")
    indexed.putdata(REGION.ravel().tolist())
    indexed.putpalette([0, 0, 0, 128, 0, 0])
    return indexed


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a.npy", REGION),
        ("a.npy", REGION > 0),
        ("a.npy", REGION.astype(np.float64)),
        ("a.npy", 255 * REGION.astype(np.int64)),
        ("a.png", picture("L")),
        ("a.png", picture("1")),
        ("a.png", picture("RGB")),
        ("a.png", Image.fromarray(REGION)),
        ("a.png", Image.fromarray(65535 * REGION.astype(np.uint16))),
        ("a.bmp", picture("L")),
    ],
)
@pytest.mark.parametrize(
    "image", [np.zeros((1, 24, 32)), torch.zeros(3, 24, 32), MetaTensor(torch.zeros(1, 24, 32, 5))]
)
def test_two_values_are_a_mask(name, values, image, tmp_path):
    path = save(tmp_path / name, values)
    mask = LoadMaskd(reader=UltrasoundReader())({"image": image, "mask": path})["mask"]
    assert type(mask) is type(image)
    assert mask.dtype in (np.uint8, torch.uint8)
    assert np.array_equal(np.asarray(mask), REGION[None])


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        (
            "a.jpg",
            picture("L").rotate(20, resample=Image.Resampling.BICUBIC),
            r"has \d+ values \(.*\), expected 0 and 1",
        ),
        ("a.png", picture("L").filter(ImageFilter.GaussianBlur(1)), r"has \d+ values \("),
        ("a.png", palette(), r"has 2 values \(0, 38\), expected 0 and 1 or 0 and 255: .* or from a palette"),
        ("a.npy", np.where(REGION, 2, 0), r"has 2 values \(0, 2\), expected 0 and 1 or 0 and 255"),
        ("a.npy", np.where(REGION, 1, -1), r"has 2 values \(-1, 1\)"),
        ("a.npy", np.where(np.arange(32) < 8, 255, REGION), r"has 3 values \(0, 1, 255\)"),
        ("a.npy", 0.5 * REGION, r"has 2 values \(0, 0.5\)"),
        ("a.npy", 0 * REGION, "is 0 everywhere"),
        ("a.npy", REGION.T, r"shape \(1, 32, 24\), but its image \(b.dcm\) has \(1, 24, 32\)"),
        ("a.npy", REGION[1:], r"shape \(1, 23, 32\), but its image"),
    ],
)
def test_anything_else_is_refused_with_its_files(name, values, told, tmp_path):
    path = save(tmp_path / name, values)
    image = MetaTensor(torch.zeros(1, 24, 32), meta={"filename_or_obj": "b.dcm"})
    with pytest.raises(ValueError, match=told) as caught:
        LoadMaskd(reader=UltrasoundReader())({"image": image, "mask": path, "item": "training 7", "patient_id": "Doe"})
    assert str(caught.value).startswith(f"the mask ({path}) of item training 7 ")
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize("mode", ["L", "1", "RGB"])
def test_images_and_masks_of_monais_readers(mode, tmp_path):
    """PIL's reader swaps rows and columns, of both."""
    Image.fromarray(100 * REGION).save(tmp_path / "image.png")
    picture(mode).save(tmp_path / "mask.png")
    sample = LoadImaged("image", ensure_channel_first=True)(
        {"image": str(tmp_path / "image.png"), "mask": tmp_path / "mask.png"}
    )
    loaded = LoadMaskd()(sample)
    assert np.array_equal(loaded["mask"], REGION.T[None])
    assert np.array_equal(loaded["image"] > 0, loaded["mask"])
    upright = {"reader": "PILReader", "reverse_indexing": False}
    sample = LoadImaged("image", ensure_channel_first=True, **upright)({**sample, "image": str(tmp_path / "image.png")})
    assert np.array_equal(LoadMaskd(**upright)(sample)["mask"], REGION[None])
    with pytest.raises(ValueError, match=r"has shape \(1, 32, 24\).*read both with the same reader"):
        LoadMaskd()(sample)


def test_another_reader_than_that_of_the_image_is_refused(tmp_path):
    """On a square image nothing else would tell that the mask lies on its side."""
    square = Image.fromarray(255 * np.triu(np.ones((24, 24), np.uint8), 12))
    square.save(tmp_path / "a.png")
    sample = LoadUltrasoundd("image")({"image": str(tmp_path / "a.png"), "mask": str(tmp_path / "a.png")})
    with pytest.raises(
        ValueError, match=r"a.png\) would be read by PILReader, but its image .* was read by UltrasoundReader"
    ):
        LoadMaskd()(sample)
    assert torch.equal(LoadMaskd(reader=UltrasoundReader())(sample)["mask"], sample["image"] > 0)


def test_a_threshold_cuts_what_has_more_values(tmp_path):
    grey = np.where(REGION, 200, 90).astype(np.uint8)
    grey[6, 4] = 128
    sample = {"image": torch.zeros(1, 24, 32), "roi": save(tmp_path / "grey.npy", grey)}
    with pytest.raises(ValueError, match=r"grey.npy\) has 3 values .* give LoadMaskd a threshold"):
        LoadMaskd(file_key="roi")(sample)
    loaded = LoadMaskd(file_key="roi", threshold=127)(sample)
    assert np.array_equal(loaded["mask"], REGION[None])
    assert loaded["roi"] == sample["roi"]
    assert LoadMaskd(file_key="roi", threshold=128)(sample)["mask"].sum() == REGION.sum() - 1
    assert LoadMaskd(threshold=0)({**sample, "mask": 3 * REGION[None]})["mask"].sum() == REGION.sum()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8, torch.bool], ids=str)
def test_a_mask_that_is_a_tensor_already(dtype):
    mask = torch.from_numpy(REGION.astype(np.uint8))[None].to(dtype)
    loaded = LoadMaskd(reader=UltrasoundReader())({"image": torch.zeros(1, 24, 32), "mask": mask})["mask"]
    assert torch.equal(loaded, torch.from_numpy(REGION.astype(np.uint8))[None])


def test_no_mask(tmp_path):
    assert LoadMaskd()({"image": "a.npy", "mask": None}) == {"image": "a.npy"}
    assert LoadMaskd()({"image": "a.npy"}) == {"image": "a.npy"}
    path = save(tmp_path / "a.npy", REGION)
    with pytest.raises(KeyError, match="has no image 'image'"):
        LoadMaskd(reader=UltrasoundReader())({"mask": path})
    with pytest.raises(TypeError, match="is a str: load it before its mask"):
        LoadMaskd(reader=UltrasoundReader())({"image": "a.npy", "mask": path})


def test_inverted(tmp_path):
    path = save(tmp_path / "a.npy", 1 - REGION)
    with pytest.warns(UserWarning, match=rf"the mask \({path}\) covers more of the image's border"):
        LoadMaskd(reader=UltrasoundReader())({"image": torch.zeros(1, 24, 32), "mask": path})
    rows, columns = np.mgrid[:24, :32]
    sector = (np.hypot(rows, columns - 16) < 24) & (abs(np.arctan2(columns - 16, rows)) < 0.7)  # from rim to rim
    box = np.zeros((24, 32), bool)
    box[2:6, 2:9] = True
    band = (columns > 5) & (columns < 26)  # the field of a linear probe, as high as the image
    assert [looks_inverted(mask) for mask in (sector, box, band, ~box & band)] == [False] * 4
    assert [looks_inverted(~mask) for mask in (sector, box)] == [True, True]


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_without_a_background(value, tmp_path):
    path = save(tmp_path / "a.npy", np.full((24, 32), value))
    with pytest.warns(UserWarning, match=rf"the mask \({path}\) of item training 3 covers the whole image"):
        LoadMaskd(reader=UltrasoundReader())({"image": torch.zeros(1, 24, 32), "mask": path, "item": "training 3"})


def test_the_meta_describes_the_mask_so_that_clips_and_stills_collate(tmp_path):
    """A clip whose sector is found, and a still with a mask file."""
    still, path = save(tmp_path / "s.npy", np.zeros((240, 320))), save(tmp_path / "m.npy", np.eye(240, 320))
    load = [
        LoadUltrasoundd("image"),
        LoadMaskd(reader=UltrasoundReader()),
        UltrasoundSectorMaskd("image"),
        SelectFramed(["image", "mask"]),
    ]
    samples: list[dict[str, Any]] = [{"image": CLIP}, {"image": still, "mask": path}]
    for transform in load:
        samples = [transform(sample) for sample in samples]
    for sample, file in zip(samples, (CLIP, path), strict=True):
        meta = sample["mask"].meta
        assert list(meta["spatial_shape"]) == [240, 320]
        assert meta["filename_or_obj"] == file
        assert torch.equal(sample["mask"].affine, sample["image"].affine)
        assert "n_frames" not in meta
    batch = list_data_collate(samples)
    assert batch["mask"].meta["filename_or_obj"] == [CLIP, path]


def test_a_persistent_data_set_keeps_loaded_masks(tmp_path):
    sample = {"image": save(tmp_path / "i.npy", 200 * REGION), "mask": save(tmp_path / "m.npy", REGION)}
    load = Compose([LoadUltrasoundd("image"), LoadMaskd(reader=UltrasoundReader())])
    first = PersistentDataset([sample], load, tmp_path / "cache", track_meta=True)[0]["mask"]
    Path(sample["mask"]).unlink()
    again = PersistentDataset([sample], load, tmp_path / "cache", track_meta=True)[0]["mask"]  # only weights are loaded
    assert torch.equal(first, again)
    assert again.meta["filename_or_obj"] == sample["mask"]


def test_a_mask_for_each_frame(tmp_path):
    region = np.repeat(REGION[None, ..., None], 3, axis=3)
    sample = LoadMaskd(reader=UltrasoundReader())(
        {"image": torch.zeros(1, 24, 32, 3), "mask": torch.from_numpy(region)}
    )
    assert sample["mask"].shape == (1, 24, 32, 3)
    assert SelectFramed(["image", "mask"])(sample)["mask"].shape == (1, 24, 32)


def test_values_in_a_full_mask():
    assert binary_values(np.full((2, 2), 255)).all()
    assert binary_values(np.ones((2, 2), bool)).all()
