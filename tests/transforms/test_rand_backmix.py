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

from monai_debias.transforms.background import backmix, replace_background
from monai_debias.transforms.rand_backmix import RandBackMix, RandBackMixd


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


@pytest.mark.parametrize(
    ("shape", "channels", "mask_dtype"),
    [
        ((9,), 1, torch.uint8),
        ((9, 10), 1, torch.uint8),
        ((9, 10, 11), 1, torch.uint8),
        ((9,), 3, torch.bool),
        ((9, 10), 3, torch.uint8),
        ((9, 10), 3, torch.bool),
        ((9, 10), 3, torch.float32),
        ((9, 10, 11), 3, torch.int64),
    ],
)
def test_backmix_is_its_equation(shape, channels, mask_dtype):
    generator = torch.Generator().manual_seed(0)
    x, donor = (torch.randn(channels, *shape, generator=generator) for _ in range(2))
    m, donor_m = region(shape, 1, 5), region(shape, 3, 8)
    expected = m * x + (1 - m.float()) * (1 - donor_m.float()) * donor
    before = x.clone(), donor.clone()
    mixed = backmix(x, m.to(mask_dtype), donor, donor_m.to(mask_dtype))
    assert torch.equal(mixed, expected)
    assert torch.equal(x, before[0])
    assert torch.equal(donor, before[1])
    as_array = backmix(x.numpy(), m.to(mask_dtype).numpy(), donor.numpy(), donor_m.to(mask_dtype).numpy())
    assert isinstance(as_array, np.ndarray)
    assert np.array_equal(as_array, expected.numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int16])
def test_dtype_of_the_image_is_kept_whatever_the_donor_has(dtype):
    x, m = torch.full((1, 6, 6), 7).to(dtype), region((6, 6), 0, 3)
    mixed = backmix(x, m, torch.full((1, 6, 6), 5.0), region((6, 6), 5, 6))
    assert mixed.dtype == dtype
    assert mixed[0, 0, 0] == 7
    assert mixed[0, 0, 4] == 5
    assert mixed[0, 5, 5] == 0


def test_metadata_is_kept_and_not_shared():
    x = MetaTensor(torch.ones(1, 6, 6), meta={"filename_or_obj": "a.dcm"})
    donor = MetaTensor(torch.zeros(1, 6, 6), meta={"filename_or_obj": "b.dcm"})
    mixed = backmix(x, region((6, 6), 0, 3), donor, region((6, 6), 0, 3))
    assert isinstance(mixed, MetaTensor)
    assert mixed.meta["filename_or_obj"] == "a.dcm"
    mixed.meta["filename_or_obj"] = "changed"
    assert x.meta["filename_or_obj"] == "a.dcm"


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
    """Reports how much memory this process has written itself, in bytes, after touching every donor."""

    def __getitem__(self, index: int) -> int:
        super().__getitem__(index)
        text = Path("/proc/self/smaps_rollup").read_text()
        return int(re.search(r"Private_Dirty:\s+(\d+) kB", text)[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's memory accounting")
def test_donors_are_not_copied_into_the_workers():
    donors = [{"image": torch.full((1, 1024, 1024), float(i)), "mask": region((1024, 1024), 2, 9)} for i in range(64)]
    size = sum(d["image"].nbytes for d in donors)  # 256 MiB

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
    with pytest.raises(ValueError, match="needs donor_img and donor_mask"):
        RandBackMix()(data[0]["image"], data[0]["mask"])
    with pytest.raises(ValueError, match="low < high"):
        RandBackMix(noise_range=(1, 0))
    with pytest.raises(RuntimeError, match="nothing was drawn"):
        RandBackMix(background="noise")(data[0]["image"], data[0]["mask"], randomize=False)
    with pytest.raises(ValueError, match="does not fit an image"):
        replace_background(data[0]["image"], data[0]["mask"], torch.zeros(1, 4, 4))


LAYOUTS = {
    "negative strides": lambda a: a[:, ::-1, ::-1],
    "another byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "both": lambda a: a.astype(a.dtype.newbyteorder())[:, ::-1],
    "the only channel backwards": lambda a: a[::-1],
    "transposed": lambda a: a.transpose(0, 2, 1),
    "read only": lambda a: np.broadcast_to(a[:, :1], a.shape),
}


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [(layout, "f4") for layout in LAYOUTS] + [("both", dtype) for dtype in ("f8", "i2", "u2", "u1", "?")],
)
def test_arrays_of_every_layout(layout, dtype):
    rng, odd = np.random.default_rng(0), LAYOUTS[layout]
    x, donor = (rng.integers(0, 99, (1, 6, 6)).astype(dtype) for _ in range(2))
    m, donor_m = ((rng.random((1, 6, 6)) > 0.5).astype(kind) for kind in ("u1", dtype))
    m[:, :, 0] = donor_m[:, :, 0] = 1
    views = [odd(array) for array in (x, m, donor, donor_m)]
    before = [view.copy() for view in views]
    x, m, donor, donor_m = (np.array(view, dtype=view.dtype.newbyteorder("=")) for view in views)
    expected = np.where(m == 1, x, np.where(donor_m == 1, 0, donor))
    assert np.array_equal(backmix(*views), expected)
    assert np.array_equal(replace_background(views[0], views[1], views[2]), np.where(m == 1, x, donor))
    for background in ("black", "shuffle", "dim"):
        mixed = RandBackMix(background=background).set_random_state(0)(views[0], views[1])
        assert np.array_equal(mixed[m == 1], x[m == 1])
    assert all(np.array_equal(view, copy) for view, copy in zip(views, before, strict=True))


def test_an_image_of_integers_gets_integers():
    x, m = torch.full((1, 4, 4), 201, dtype=torch.uint8), region((4, 4), 1, 3)
    assert RandBackMix(background="dim")(x, m)[0, 0, 0] == 149  # 148.74
    assert backmix(x, m, torch.full((1, 4, 4), 99.7), m)[0, 0, 0] == 100
    noise = RandBackMix(background="noise", noise_range=(0, 30)).set_random_state(0)(x, m)[m == 0]
    assert len(noise.unique()) > 5
    assert replace_background(x.short(), m, -7)[0, 0, 0] == -7


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.bool, torch.float16])
def test_values_that_the_image_cannot_hold(dtype):
    x, m = torch.ones(1, 4, 4).to(dtype), region((4, 4), 1, 3)
    for bad in (-1e5, 1e5):
        with pytest.raises(ValueError, match=rf"donor has values from .* which the image's {dtype} cannot hold"):
            backmix(x, m, torch.full((1, 4, 4), bad), m)
        with pytest.raises(ValueError, match=rf"background has values from .* {dtype} cannot hold"):
            replace_background(x, m, bad)
    for bad in (float("nan"), float("-inf")):
        with pytest.raises(ValueError, match=r"background is (nan|-inf)"):
            replace_background(x, m, bad)
        with pytest.raises(ValueError, match="background has 16 NaN or infinite"):
            replace_background(x, m, torch.full((1, 4, 4), bad))
    if dtype == torch.uint8:
        with pytest.raises(ValueError, match=r"background has values from .* cannot hold"):
            RandBackMix(background="dim", dim_factor=300)(x, m)
        with pytest.raises(ValueError, match=r"background has values from .* cannot hold"):
            RandBackMix(background="noise", noise_range=(-5, 30))(x, m)
        with pytest.raises(ValueError, match=r"noise_range .* no two integers .*\(0, 30\) of 255"):
            RandBackMix(background="noise")(x, m)


def ramp(low: float, high: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.linspace(low, high, 64).reshape(1, 8, 8).to(dtype)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ramp(0, 1), ramp(0, 255)),
        (ramp(0, 0.2), ramp(0, 4095)),
        (ramp(0, 1), ramp(0, 255, torch.uint8)),
        (ramp(0, 1), ramp(0, 60, torch.int16)),  # dark, but of integers
        (ramp(0, 1, torch.float64), ramp(0, 255)),
    ],
    ids=["8 bits", "12 bits", "uint8", "int16", "float64"],
)
def test_a_donor_on_another_scale_is_refused(first, second):
    m = region((8, 8), 2, 6)
    for image, donor in ((first, second), (second, first)):
        with pytest.raises(ValueError, match=r"on different scales.*ScaleIntensityRanged"):
            backmix(image, m, donor, m)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ramp(-1.7, 1.7), ramp(-0.4, 160)),  # z-scores, one of them of an image with few bright pixels
        (ramp(0, 1), ramp(-1.7, 200)),
        (ramp(0, 1), ramp(0, 1.3)),  # brightened
        (ramp(0, 0.4), ramp(0, 60)),  # standardised uptake
        (ramp(0, 255), torch.zeros(1, 8, 8)),
        (ramp(0, 255, torch.uint8), torch.zeros(1, 8, 8)),
        (ramp(0, 255), (ramp(0, 1) > 0.5).float()),  # black but for pixels of 1
        (ramp(0, 255, torch.uint8), ramp(0, 3, torch.uint8)),
        (ramp(0, 255), ramp(0, 60000, torch.int32)),
    ],
    ids=["z-score", "one z-score", "brightened", "uptake", "black", "black uint8", "nearly black", "dark", "integers"],
)
def test_a_donor_that_may_be_on_the_same_scale_is_taken(first, second):
    m = region((8, 8), 2, 6)
    assert torch.equal(backmix(first, m, second, m)[m == 1], first[m == 1])
