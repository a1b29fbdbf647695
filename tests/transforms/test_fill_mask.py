# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import AsDiscreted, Compose, LoadImaged, ScaleIntensityd
from PIL import Image

from monai_debias.transforms.fill_mask import FillMaskD, FillMaskd, FillMaskDict

EXAMPLES = {FillMaskd: [{"mask_key": "mask", "flag_key": "use_mask"}]}


@pytest.mark.parametrize("shape", [(3, 20), (1, 6, 5), (2, 4, 5, 6)], ids=["1-D", "2-D", "3-D"])
@pytest.mark.parametrize("absent", [{}, {"mask": None}], ids=["no key", "None"])
def test_a_sample_without_a_mask_gets_an_empty_one(shape, absent):
    image = torch.rand(shape)
    meta = MetaTensor(image, affine=2 * torch.eye(4), meta={"filename_or_obj": "a"})
    for value in (image, meta, image.numpy()):
        sample = {"image": value, **absent}
        filled = FillMaskd()(sample)
        assert sample.keys() == {"image", *absent}
        assert filled["has_mask"] is False
        assert type(filled["mask"]) is type(value)
        assert filled["mask"].dtype in (torch.uint8, np.uint8)
        assert torch.equal(torch.as_tensor(filled["mask"]), torch.zeros(1, *shape[1:]))
    assert FillMaskd()({"image": meta})["mask"].meta["filename_or_obj"] == "a"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32])
def test_a_real_mask_keeps_its_values(dtype):
    values = torch.eye(5)[None].to(dtype)
    for mask in (values, values.numpy(), MetaTensor(values, meta={"filename_or_obj": "m"})):
        filled = FillMaskd()({"image": torch.rand(3, 5, 5), "mask": mask})
        assert filled["has_mask"] is True
        assert (
            type(filled["mask"]) is torch.Tensor
        )  # as the image, or what comes from different files would not collate
        assert filled["mask"].dtype == torch.uint8
        assert torch.equal(filled["mask"], values.to(torch.uint8))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_batch_of_files_in_which_some_have_a_mask(tmp_path, num_workers):
    rng, items = np.random.default_rng(0), []
    for i in range(4):
        item = {"image": str(tmp_path / f"{i}.png"), "label": i}
        Image.fromarray(rng.integers(0, 255, (6, 8), dtype=np.uint8)).save(item["image"])
        if i in (1, 2):
            item["mask"] = str(tmp_path / f"m{i}.png")
            Image.fromarray(np.pad(np.full((2, 3), 255, np.uint8), ((2, 2), (i, 5 - i)))).save(item["mask"])
        items.append(item)
    keys = ("image", "mask")
    transform = Compose(
        [
            LoadImaged(keys, ensure_channel_first=True, allow_missing_keys=True),
            ScaleIntensityd("image"),
            AsDiscreted("mask", threshold=128, allow_missing_keys=True),
            FillMaskd(),
        ]
    )
    (batch,) = DataLoader(Dataset(items, transform), batch_size=4, num_workers=num_workers)
    assert batch["has_mask"].tolist() == [False, True, True, False]
    assert batch["mask"].shape == batch["image"].shape == (4, 1, 8, 6)
    assert batch["mask"].dtype == torch.uint8
    assert batch["mask"].sum((1, 2, 3)).tolist() == [0, 6, 6, 0]


def test_bad_samples_get_a_clear_error():
    image = torch.rand(3, 5, 5)
    with pytest.raises(KeyError, match="has no image 'image', which the mask 'mask' must fit"):
        FillMaskd()({"mask": torch.ones(1, 5, 5)})
    with pytest.raises(TypeError, match="'image' is a str: load it first"):
        FillMaskd()({"image": "a.png"})
    with pytest.raises(ValueError, match=r"must be \(C, spatial\.\.\.\), got shape \(5,\)"):
        FillMaskd()({"image": torch.zeros(5)})
    for mask, message in (
        (torch.ones(1, 4, 5), r"expected \(1, 5, 5\)"),
        (torch.ones(3, 5, 5), r"expected \(1, 5, 5\)"),
        (torch.full((1, 5, 5), 0.5), "values other than 0 and 1"),
        (torch.zeros(1, 5, 5), "0 everywhere"),
    ):
        with pytest.raises(ValueError, match=message):
            FillMaskd()({"image": image, "mask": mask})


def test_config_pickle_and_aliases():
    assert FillMaskD is FillMaskDict is FillMaskd
    config = {"_target_": "monai_debias.transforms.fill_mask.FillMaskd", "mask_key": "sector", "flag_key": "drawn"}
    built = ConfigParser({"t": config}).get_parsed_content("t")
    filled = pickle.loads(pickle.dumps(built))({"image": torch.rand(1, 2, 2)})  # noqa: S301
    assert filled.keys() == {"image", "sector", "drawn"}
