# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, LoadImaged, RandAffined, SelectItemsd
from monai.utils import set_determinism

from monai_debias.transforms.background import replace_background
from monai_debias.transforms.rand_backmix import RandBackMix, RandBackMixd

_CONFIGS = [
    {"background": "donor"},
    {"background": "noise", "prob": 0.5},
    {"background": "shuffle"},
    {"background": "black", "prob": 0.5},
    {"background": "dim"},
]
EXAMPLES = {
    RandBackMix: _CONFIGS,
    RandBackMixd: [{"keys": "image", "donors": "$donors", **config} for config in _CONFIGS],
}


def region(shape: tuple[int, ...], start: int, stop: int) -> torch.Tensor:
    """A box from start to stop along every spatial axis, as a uint8 mask of one channel."""
    mask = torch.zeros((1, *shape), dtype=torch.uint8)
    mask[(slice(None), *[slice(start, stop)] * len(shape))] = 1
    return mask


def samples(n: int = 6, shape: tuple[int, ...] = (8, 8), channels: int = 1) -> list[dict]:
    """Sample i is i + 1 everywhere, so that a pixel tells which sample it comes from."""
    return [
        {"image": torch.full((channels, *shape), float(i + 1)), "mask": region(shape, 2, 6), "id": i} for i in range(n)
    ]


def test_ablations():
    generator = torch.Generator().manual_seed(1)
    x, m = torch.rand(2, 16, 16, generator=generator) + 1, region((16, 16), 4, 9)
    outside = m[0] == 0
    result = {
        name: RandBackMix(background=name).set_random_state(0)(x, m) for name in ("black", "noise", "shuffle", "dim")
    }
    for name, image in result.items():
        assert torch.equal(image[:, ~outside], x[:, ~outside]), name
    assert torch.equal(result["black"][:, outside], torch.zeros(2, int(outside.sum())))
    assert torch.equal(result["dim"][:, outside], x[:, outside] * 0.74)
    noise = result["noise"][:, outside]
    assert 0 <= noise.min() < 2 / 255
    assert 28 / 255 < noise.max() <= 30 / 255
    shuffled, original = result["shuffle"][:, outside], x[:, outside]
    assert not torch.equal(shuffled, original)
    order = shuffled[0].argsort(), original[0].argsort()
    assert torch.equal(shuffled[:, order[0]], original[:, order[1]])  # the channels of a pixel stayed together


def test_ablations_ask_for_no_donors_and_draw_anew():
    data = samples(1, (16, 16))[0] | {"image": torch.rand(1, 16, 16)}
    for name in ("noise", "shuffle"):
        transform = RandBackMixd("image", background=name).set_random_state(3)
        first, second = transform(data)["image"], transform(data)["image"]
        again = RandBackMixd("image", background=name).set_random_state(3)(data)["image"]
        assert not torch.equal(first, second), name
        assert torch.equal(first, again), name


def test_donors_are_drawn_uniformly_from_samples_with_a_mask_only():
    donors = samples(6)
    del donors[1]["mask"]
    donors[4]["mask"] = None
    mix = RandBackMixd("image", donors=donors).set_random_state(0)
    drawn = torch.tensor([mix(donors[0])["image"][0, 0, 0].item() for _ in range(2000)])
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == [1.0, 3.0, 4.0, 6.0]  # itself included, of any class
    assert (counts / 2000 - 0.25).abs().max() < 0.04
    for i in (1, 4):
        assert mix(donors[i])["image"] is donors[i]["image"]  # without a mask it passes unchanged


def test_all_keys_get_the_same_donor():
    data = [{**s, "second": s["image"] * 10} for s in samples(20)]
    mix = RandBackMixd(["image", "second"], donors=data).set_random_state(0)
    for _ in range(20):
        mixed = mix(data[0])
        assert mixed["second"][0, 0, 0] == mixed["image"][0, 0, 0] * 10
    del data[0]["second"]
    lenient = RandBackMixd(["image", "second"], donors=data[1:], allow_missing_keys=True)
    assert "second" not in lenient(data[0])
    with pytest.raises(KeyError, match="second"):
        mix(data[0])


def test_prob():
    data = samples(2)
    mix = RandBackMixd("image", donors=data[1:], prob=0.3).set_random_state(0)
    changed = np.mean([mix(data[0])["image"][0, 0, 0].item() == 2.0 for _ in range(1000)])
    assert abs(changed - 0.3) < 0.05
    assert torch.equal(RandBackMixd("image", donors=data, prob=0.0)(data[0])["image"], data[0]["image"])


def files_and_transforms(tmp_path: Path, n: int = 12) -> tuple[list[dict], Compose]:
    items = []
    for s in samples(n):
        path = tmp_path / f"{s['id']}.npy"
        np.save(path, s["image"].numpy())
        np.save(tmp_path / f"m{s['id']}.npy", s["mask"].numpy())
        items.append({"image": str(path), "mask": str(tmp_path / f"m{s['id']}.npy"), "id": s["id"]})
    return items, Compose([LoadImaged(["image", "mask"])])


def test_workers_draw_different_donors_reproducibly_from_the_cache(tmp_path):
    items, load = files_and_transforms(tmp_path)
    cached = CacheDataset(items, load, progress=False)
    for item in items:
        Path(item["image"]).unlink()  # whoever decodes a file again from here on fails

    def epoch() -> list[float]:
        set_determinism(11)
        mix = RandBackMixd("image", donors=cached)
        loader = DataLoader(Dataset(cached, Compose([mix, SelectItemsd(["image", "id"])])), batch_size=1, num_workers=2)
        drawn = [batch["image"][0, 0, 0, 0].item() for _ in range(3) for batch in loader]
        set_determinism(None)
        return drawn

    first = epoch()
    assert epoch() == first
    assert first[0:12:2] != first[1:12:2]  # batches alternate between the two workers
    assert len(set(first)) > 6


class PrivateMemory(Dataset):
    """Reports, now and then, how much memory this process has written itself, in bytes, after touching every donor."""

    def __getitem__(self, index: int) -> int:
        super().__getitem__(index)
        if (index + 1) % 16:
            return 0  # adding it up takes a while
        text = Path("/proc/self/smaps_rollup").read_text()
        return int(re.search(r"Private_Dirty:\s+(\d+) kB", text)[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's memory accounting")
def test_donors_are_not_copied_into_the_workers():
    donors = [{"image": torch.full((1, 512, 512), float(i)), "mask": region((512, 512), 2, 9)} for i in range(64)]
    size = sum(d["image"].nbytes for d in donors)  # 64 MiB

    def worker_memory(transform) -> int:
        loader = torch.utils.data.DataLoader(PrivateMemory(donors, transform), batch_size=None, num_workers=1)
        return max(int(n) for n in loader)

    plain, mixed = worker_memory(lambda d: d), worker_memory(RandBackMixd("image", donors=donors))
    assert mixed - plain < 0.2 * size


def test_it_composes_with_spatial_transforms_of_image_and_mask():
    data = [{"image": torch.rand(1, 32, 32) + i, "mask": region((32, 32), 8, 24)} for i in (1, 5)]
    pipeline = Compose(
        [
            RandAffined(
                ["image", "mask"], prob=1, rotate_range=0.5, mode=["bilinear", "nearest"], padding_mode="border"
            ),
            RandBackMixd("image", donors=data[1:]),
        ]
    ).set_random_state(0)
    mixed = pipeline(data[0])
    inside = mixed["mask"][0] == 1
    assert mixed["image"][0][inside].max() < 3
    assert mixed["image"][0, 0].min() >= 5  # the donor's background, not rotated, with its region blacked out elsewhere
    assert set(mixed["image"][0][~inside & (region((32, 32), 8, 24)[0] == 1)].tolist()) == {0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": torch.full((1, 8, 8), 0.5)}, r"values other than 0 and 1 \(min 0.5, max 0.5\); threshold it"),
        ({"mask": torch.full((1, 8, 8), 255, dtype=torch.uint8)}, "values other than 0 and 1"),
        ({"mask": torch.zeros(1, 8, 8)}, "0 everywhere"),
        ({"mask": torch.zeros(1, 8, 8, dtype=torch.uint8)}, "0 everywhere"),
        ({"mask": torch.ones(1, 8, 9)}, r"mask of shape \(1, 8, 9\) does not fit an image of shape \(1, 8, 8\)"),
        ({"mask": torch.ones(2, 8, 8)}, "does not fit"),
        ({"image": torch.full((1, 8, 8), float("nan"))}, "image has 64 NaN or infinite values of 64"),
        ({"image": torch.full((1, 8, 8), float("inf"))}, "infinite"),
        ({"image": torch.ones(1, 9, 9), "mask": torch.ones(1, 9, 9)}, "bring all samples to one size"),
        ({"image": torch.ones(3, 8, 8)}, "number of channels"),
    ],
)
def test_bad_samples_get_a_clear_error(change, message):
    data = samples(3)
    mix = RandBackMixd("image", donors=data)
    with pytest.raises(ValueError, match=message):
        mix({**data[0], **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": torch.full((1, 8, 8), 2)}, r"the mask of donor 2 \(c.png\) has values other than 0 and 1"),
        ({"mask": torch.zeros(1, 8, 8)}, r"the mask of donor 2 \(c.png\) is 0 everywhere"),
        ({"mask": torch.ones(1, 7, 8)}, r"the mask of donor 2 \(c.png\) of shape \(1, 7, 8\) does not fit"),
        (
            {"image": torch.ones(1, 9, 9), "mask": torch.ones(1, 9, 9)},
            r"donor 0 has images of shape \[\(1, 8, 8\)\], and donor 2 \(c.png\) of \[\(1, 9, 9\)\]: bring all",
        ),
    ],
)
def test_what_is_wrong_with_a_donor_is_said_before_the_training(change, message):
    data = samples(4)
    data[2].update(change)
    data[2]["image"] = MetaTensor(data[2]["image"], meta={"filename_or_obj": "c.png"})
    with pytest.raises(ValueError, match=message):
        RandBackMixd("image", donors=data)


def test_a_donor_that_is_not_finite():
    data = samples(2)
    bad = [{**data[1], "image": torch.full((1, 8, 8), float("nan"))}]
    with pytest.raises(ValueError, match="donor image has 64 NaN"):
        RandBackMixd("image", donors=bad)(data[0])


def test_bad_arguments_get_a_clear_error():
    data = samples(2)
    with pytest.raises(ValueError, match=r"none of the 0 donors has a mask under the key 'mask': BackMix needs"):
        RandBackMixd("image", donors=[])
    with pytest.raises(ValueError, match=r"none of the 1 donors has a mask .* \(the first has \['image', 'roi'\]\)"):
        RandBackMixd("image", donors=[{"image": data[0]["image"], "roi": data[0]["mask"]}])
    with pytest.raises(ValueError, match="needs donors"):
        RandBackMixd("image")
    with pytest.raises(ValueError, match="needs both donor_img and donor_mask"):
        RandBackMix()(data[0]["image"], data[0]["mask"])
    with pytest.raises(ValueError, match="low < high"):
        RandBackMix(noise_range=(1, 0))
    with pytest.raises(RuntimeError, match="no background was drawn"):
        RandBackMix(background="noise")(data[0]["image"], data[0]["mask"], randomize=False)
    with pytest.raises(ValueError, match="does not fit an image"):
        replace_background(data[0]["image"], data[0]["mask"], torch.zeros(1, 4, 4))
