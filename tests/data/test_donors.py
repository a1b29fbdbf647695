# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, Dataset, MetaTensor
from monai.transforms import Compose, Lambda
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from monai_debias.data.donors import Donors, possible_donors
from monai_debias.transforms import RandBackMixd

EXAMPLES = {possible_donors: {"samples": Dataset([{"image": "a.png", "mask": "b.png"}]), "mask_key": "mask"}}


def sample(number: int, **changes) -> dict:
    """An image that is its number everywhere, so that a pixel tells which sample it comes from."""
    image = MetaTensor(torch.full((1, 4, 4), float(number)), meta={"filename_or_obj": f"{number}.png"})
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[:, 1:3, 1:3] = 1
    return {"image": image, "mask": mask, **changes}


class OnDisk(Dataset):
    """Samples of which it is known how often each was read."""

    def __init__(self, data) -> None:
        super().__init__(data)
        self.reads = [0] * len(data)

    def __getitem__(self, index):
        self.reads[index] += 1
        if isinstance(self.data[index], Exception):
            raise RuntimeError("applying transform LoadImaged") from self.data[index]
        return self.data[index]


def test_nothing_but_the_first_donor_is_read_before_one_is_drawn():
    files = OnDisk([sample(n, mask=None) if n < 3 else sample(n) for n in range(50)])
    mix = RandBackMixd("image", donors=files).set_random_state(0)
    assert files.reads == [1] * 4 + [0] * 46
    mixed = mix(sample(99))["image"][0]
    assert (sum(files.reads[4:]), mixed[0, 0] >= 3, mixed[1, 1]) == (1, True, 99)


def test_each_donor_with_a_mask_is_drawn_as_often_as_another_and_others_are_read_once():
    without = {1, 4}
    files = OnDisk([sample(n, mask=None) if n in without else sample(n) for n in range(6)])
    donors, random = Donors(files, ["image"], "mask"), np.random.RandomState(0)
    drawn = np.array([int(donors.draw(random)["image"][0, 0, 0]) for _ in range(2000)])
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [0, 2, 3, 5]
    assert np.abs(counts / 2000 - 0.25).max() < 0.04
    assert [files.reads[n] for n in without] == [1, 1]


def test_what_is_drawn_does_not_depend_on_what_was_drawn_before():
    """A training that resumes has forgotten who has no mask."""
    files = OnDisk([sample(n, mask=None) if n % 3 else sample(n) for n in range(30)])
    old, random = Donors(files, ["image"], "mask"), np.random.RandomState(0)
    for _ in range(50):
        old.draw(random)
    again = np.random.RandomState()
    again.set_state(random.get_state())
    new = Donors(files, ["image"], "mask")
    assert [old.draw(random)["image"][0, 0, 0] for _ in range(20)] == [
        new.draw(again)["image"][0, 0, 0] for _ in range(20)
    ]


@pytest.mark.parametrize("fills", [{}, {"cache_rate": 0.5}, {"runtime_cache": True}], ids=str)
def test_only_a_cache_that_is_full_is_looked_through(fills):
    reads = []
    load = Compose([Lambda(lambda n: (reads.append(n), sample(n))[1])])
    cache = CacheDataset(list(range(8)), load, progress=False, **fills)
    reads.clear()
    donors = Donors(Subset(cache, range(2, 8)), ["image"], "mask")
    assert donors.in_memory is not bool(fills)
    assert len(reads) <= 1
    assert donors.draw(np.random.RandomState(0))["image"][0, 0, 0] >= 2


BAD = [
    ({"mask": torch.full((1, 4, 4), 2)}, ValueError, r"the mask of donor 1 \(1.png\) has values other than 0 and 1"),
    ({"mask": torch.zeros(1, 4, 4)}, ValueError, r"the mask of donor 1 \(1.png\) is 0 everywhere"),
    ({"mask": torch.ones(1, 3, 4)}, ValueError, r"the mask of donor 1 \(1.png\) of shape \(1, 3, 4\) does not fit"),
    (
        {"image": torch.ones(1, 9, 9), "mask": torch.ones(1, 9, 9)},
        ValueError,
        r"donor 0 \(0.png\) has images of shape \[\(1, 4, 4\)\], and donor 1 of \[\(1, 9, 9\)\]: bring all",
    ),
    (OSError("1.dcm: is cut short."), RuntimeError, "donor 1 cannot be read: 1.dcm: is cut short"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_what_is_wrong_with_a_donor_is_said_when_it_is_drawn(bad, error, message):
    files = OnDisk([sample(0), bad if isinstance(bad, Exception) else sample(1, **bad)])
    mix = RandBackMixd("image", donors=files).set_random_state(0)
    with pytest.raises(error, match=message):
        _ = [mix(sample(0)) for _ in range(20)]


def test_no_donor_with_a_mask(caplog):
    files = OnDisk([{"image": torch.zeros(1, 4, 4), "roi": None}] * 150)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match=r"none of the 150 donors has a mask .* \(the first has \['image', 'roi'\]\)"),
    ):
        Donors(files, ["image"], "mask")
    assert "none of the first 100 donors has a mask" in caplog.text


def test_the_datalist_tells_who_cannot_be_a_donor():
    items = [{"image": "a", "roi": "m"}, {"image": "b"}, {"image": "c", "roi": None}, {"image": "d", "roi": "m"}]
    files = Dataset(items)
    assert [item["image"] for item in possible_donors(files, "roi")] == ["a", "d"]
    assert possible_donors(files, None) is files  # masks are found: anyone may have one
    items[0]["use_mask"] = False
    assert [item["image"] for item in possible_donors(files, "roi")] == ["d"]
    assert [item["image"] for item in possible_donors(files, None)] == ["b", "c", "d"]
    with pytest.raises(ValueError, match="none of the 4 items of the training has a mask under 'mask': BackMix needs"):
        possible_donors(files, "mask")
    assert possible_donors(items, "mask") is items  # in memory, Donors looks at them itself
    parts = ConcatDataset([Subset(files, [3, 1]), Dataset(files)])
    assert [item["image"] for item in possible_donors(parts, "roi")] == ["d", "d"]
    for unknown in (TensorDataset(torch.zeros(1)), ConcatDataset([files, TensorDataset(torch.zeros(1))])):
        with pytest.raises(TypeError, match=f"the items of a {type(unknown).__name__} are not known"):
            possible_donors(unknown, "roi")


def test_a_donor_that_is_no_mapping_is_told():
    with pytest.raises(TypeError, match="donor 0 is a tuple, expected a mapping with the keys 'image', 'mask'"):
        Donors(TensorDataset(torch.zeros(2, 1, 4, 4)), ["image"], "mask")
