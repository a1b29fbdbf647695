# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The pure functions of BackMix: the equation, the kinds of numbers, the scale of the donor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_debias.transforms.background import backmix, replace_background
from monai_debias.transforms.rand_backmix import RandBackMix
from tests.samples import make_samples

_SAMPLE, _DONOR = make_samples("still", 2)
_IMAGE_AND_MASK = {"image": _SAMPLE["image"], "mask": _SAMPLE["mask"]}
EXAMPLES = {
    backmix: {**_IMAGE_AND_MASK, "donor_image": _DONOR["image"], "donor_mask": _DONOR["mask"]},
    replace_background: {**_IMAGE_AND_MASK, "background": _DONOR["image"]},
}


def region(shape: tuple[int, ...], start: int, stop: int) -> torch.Tensor:
    """A box from start to stop along every spatial axis, as a uint8 mask of one channel."""
    mask = torch.zeros((1, *shape), dtype=torch.uint8)
    mask[(slice(None), *[slice(start, stop)] * len(shape))] = 1
    return mask


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
        for seed in range(5):
            with pytest.raises(ValueError, match=r"noise_range has values from -5 to 30, which .* cannot hold"):
                RandBackMix(background="noise", noise_range=(-5, 30)).set_random_state(seed)(x, m)
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
