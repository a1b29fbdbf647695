# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, list_data_collate
from monai.transforms import Compose
from monai.utils import set_determinism

from monai_debias.transforms import BlendBackgroundsd, blend_backgrounds

EXAMPLES = {BlendBackgroundsd: [{"keys": "image"}]}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make_batch(n: int = 6) -> dict:
    """Images of one value each, which tells them apart; the last column is the region of interest."""
    mask = torch.zeros(n, 1, 4, 4)
    mask[..., 3] = 1
    image = torch.arange(n, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(n, 1, 4, 4).clone()
    return {"image": image, "mask": mask, "label": torch.arange(n)}


def amounts_of(batch: dict, before: dict, rows: list[int]) -> list[float]:
    """How far the background of each row has moved to that of the row before it, among these."""
    now, own = batch["image"][:, 0, 0, 0], before["image"][:, 0, 0, 0]
    return [((now[row] - own[row]) / (own[rows[i - 1]] - own[row])).item() for i, row in enumerate(rows)]


def test_it_is_the_blend_by_amounts_of_which_half_are_1():
    batch = make_batch(400)
    blended = BlendBackgroundsd("image")(batch)
    amounts = amounts_of(blended, batch, list(range(400)))
    assert torch.allclose(blended["image"], blend_backgrounds(batch["image"], batch["mask"], torch.tensor(amounts)))
    whole = np.isclose(amounts, 1, atol=1e-5)
    assert 160 < whole.sum() < 240  # four standard deviations
    rest = np.array(amounts)[~whole]
    assert (rest >= -1e-6).all()
    assert 0.4 < rest.mean() < 0.6
    assert torch.equal(blended["label"], batch["label"])


def test_rows_without_a_mask_stay_and_are_nobodys_background():
    batch = make_batch() | {"has_mask": torch.tensor([True, False, True, False, False, True])}
    batch["mask"][~batch["has_mask"]] = 0
    blend = BlendBackgroundsd("image")
    blended = blend(batch)
    assert blend.n_blended == 3
    assert torch.equal(blended["image"][[1, 3, 4]], batch["image"][[1, 3, 4]])
    assert all(0 < amount <= 1 for amount in amounts_of(blended, batch, [0, 2, 5]))


@pytest.mark.parametrize("flags", [[False] * 6, [False] * 5 + [True]])
def test_fewer_than_two_masks_blend_nothing(flags):
    batch, blend = make_batch() | {"has_mask": torch.tensor(flags)}, BlendBackgroundsd("image")
    assert torch.equal(blend(batch)["image"], batch["image"])
    assert blend.n_blended == 0


def test_images_keep_their_type_and_are_blended_alike():
    batch = make_batch()
    images = MetaTensor(batch["image"].half(), meta={"spacing": 2.0})
    blended = BlendBackgroundsd(["image", "other"])({**batch, "image": images, "other": images * 1})
    assert isinstance(blended["image"], MetaTensor)
    assert (blended["image"].dtype, blended["image"].meta["spacing"]) == (torch.float16, 2.0)
    assert torch.equal(blended["image"].as_tensor(), blended["other"].as_tensor())
    assert torch.equal(images.as_tensor(), batch["image"].half())  # the batch itself is not changed


def test_draws_are_repeatable_and_differ_among_workers_and_epochs():
    samples = [{key: value[0] for key, value in make_batch(1).items()} for _ in range(8)]
    for i, sample in enumerate(samples):
        sample["image"] = torch.full((1, 4, 4), float(i))

    def epochs() -> list[torch.Tensor]:
        set_determinism(3)
        try:
            collate = Compose([list_data_collate, BlendBackgroundsd("image")], map_items=False)
            loader = DataLoader(Dataset(samples), batch_size=4, num_workers=2, collate_fn=collate)
            return [batch["image"][:, 0, 0, 0] - torch.arange(4) for _ in range(2) for batch in loader]
        finally:
            set_determinism(None)

    first = epochs()
    assert all(torch.equal(one, other) for one, other in zip(first, epochs(), strict=True))
    first[1], first[3] = first[1] - 4, first[3] - 4  # the second batch has the images 4 to 7
    assert len({tuple(moved.tolist()) for moved in first}) == 4


def test_a_z_score_is_told_once(recwarn):
    batch = make_batch()
    noise = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    deviation, mean = torch.std_mean(noise, dim=(1, 2, 3), keepdim=True, correction=0)
    blend = BlendBackgroundsd("image")
    for _ in range(2):
        blend({**batch, "image": (noise - mean) / deviation})
    assert sum("standard deviation 1" in str(warning.message) for warning in recwarn) == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mask": None}, KeyError, "the batch has no masks 'mask' to blend backgrounds by; it has .'image', 'label'.*"),
        ({"image": None}, KeyError, "image"),
        ({"image": torch.zeros(6, 1, 4, 4, dtype=torch.uint8)}, ValueError, "floating point, got torch.uint8 and"),
        ({"image": torch.zeros(6, 4)}, ValueError, r"of shape \(B, C, spatial...\) .* got torch.float32 and \(6, 4\)"),
        ({"image": torch.zeros(5, 1, 4, 4)}, ValueError, r"there are 5 images, but masks of shape \(6, 1, 4, 4\)"),
        ({"mask": torch.full((6, 1, 4, 4), 0.5)}, ValueError, "mask has values other than 0 and 1"),
        ({"mask": torch.zeros(6, 1, 4, 4)}, ValueError, "mask is 0 everywhere"),
        ({"has_mask": torch.ones(6)}, TypeError, "the flags 'has_mask' must be bool"),
        ({"has_mask": torch.ones(2, dtype=torch.bool)}, ValueError, r"must have shape \(6,\), got \(2,\)"),
    ],
)
def test_bad_batches(change, error, message):
    batch = {key: value for key, value in (make_batch() | change).items() if value is not None}
    with pytest.raises(error, match=message):
        BlendBackgroundsd("image")(batch)


def test_a_missing_image_is_allowed_on_request():
    batch = make_batch()
    assert BlendBackgroundsd("other", allow_missing_keys=True)(batch).keys() == batch.keys()
