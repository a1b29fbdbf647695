# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The sector of real clips and stills, and of synthetic screens with everything else that moves or shines on them."""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from pydicom import examples
from pydicom.data import get_testdata_file
from scipy.spatial import ConvexHull

from monai_debias.apps.ultrasound.load import LoadUltrasound
from monai_debias.apps.ultrasound.sector_mask import SectorGuessWarning, UltrasoundSectorMask, UltrasoundSectorMaskd
from tests.apps.ultrasound.sector_phantoms import DISTURBANCES, SHAPES, phantom
from tests.apps.ultrasound.sector_screens import FIRST_SEED, a_clip, dice

EXAMPLES = {
    UltrasoundSectorMask: [{"source": source} for source in ("auto", "still")],
    # it writes a mask, and leaves a sample that has one under the key as it is
    UltrasoundSectorMaskd: [{"keys": "image", "mask_key": "sector", "source": source} for source in ("auto", "still")],
}


@pytest.fixture(scope="module")
def real_clip() -> np.ndarray:
    """(3, 240, 320, 30), the real echo; its regions are those of the uncropped 480 x 640 original."""
    return np.ascontiguousarray(np.moveaxis(examples.ybr_color.pixel_array, (0, 3), (3, 0)))


@pytest.fixture(scope="module")
def real_mask(real_clip: np.ndarray) -> np.ndarray:
    return UltrasoundSectorMask()(real_clip)[0] > 0


def moving_energy(clip: np.ndarray) -> np.ndarray:
    """Temporal variance; below 1 it is rounding and compression noise."""
    variance = clip.mean(axis=0, dtype=np.float32).var(axis=-1)
    variance[variance < 1] = 0
    return variance


def _measured_sector(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The sector of the original of 480 x 640, whose edges were read off with a ruler."""
    angle, radius = np.arctan2(column - 339.5, row - 18), np.hypot(column - 339.5, row - 18)
    return (np.abs(angle) < np.radians(42.8)) & (radius < 384) & (row > 44.5)


def solidity(mask: np.ndarray) -> float:
    return mask.sum() / ConvexHull(np.argwhere(mask)).volume


def test_real_clip_has_its_motion_inside(real_clip: np.ndarray, real_mask: np.ndarray) -> None:
    energy = moving_energy(real_clip)
    assert energy[real_mask].sum() / energy.sum() > 0.99
    row, column = np.mgrid[:240, :320] + 0.5
    assert dice(real_mask, _measured_sector(2 * row, 2 * column)) > 0.96
    assert solidity(real_mask) > 0.98


def test_real_clip_has_all_text_and_icons_outside(real_clip: np.ndarray, real_mask: np.ndarray) -> None:
    grey = real_clip.mean(axis=0, dtype=np.float32)
    still = np.median(grey, axis=-1)
    overlay = (still > 30) & (grey.std(axis=-1) < 0.15 * still)
    row, column = np.mgrid[:240, :320]
    left, right, bottom = column < 45, column > 296, row > 206
    dot, counter = (row < 26) & (column > 184) & (column < 200), (row > 193) & (column > 280)
    for name, where in {"left": left, "right": right, "bottom": bottom, "dot": dot, "counter": counter}.items():
        assert (overlay & where).sum() > 20, name
        assert not (overlay & where & real_mask).any(), name


def test_original_of_the_real_clip_agrees(real_mask: np.ndarray) -> None:
    image = LoadUltrasound()(get_testdata_file("color3d_jpeg_baseline.dcm"))
    mask = UltrasoundSectorMask()(image)
    assert mask.meta["sector_source"] == "regions"
    found = mask[0].numpy() > 0
    row, column = np.mgrid[:480, :640] + 0.5
    assert dice(found, _measured_sector(row, column)) > 0.98
    energy = moving_energy(image.numpy())
    assert energy[found].sum() / energy.sum() > 0.99
    # the region fits this image; the search in the pixels alone gives the same, and so does the smaller version
    assert dice(found, UltrasoundSectorMask()(image.numpy()[..., ::5])[0] > 0) > 0.99
    assert dice(found[::2, ::2], real_mask) > 0.96


@pytest.fixture(scope="module")
def scores() -> dict[str, list[float]]:
    """Dice with the true sector by disturbance; every shape of sector occurs four times."""
    found: dict[str, list[float]] = {}
    for number, disturbance in enumerate(DISTURBANCES):
        for repeat in range(2):
            shape = SHAPES[(number + 4 * repeat) % len(SHAPES)]
            screen = phantom(FIRST_SEED + 10 * number + repeat, (disturbance,), shape=shape, size=(180, 240), frames=10)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SectorGuessWarning)
                mask = UltrasoundSectorMask()(screen.clip)[0] > 0
            found.setdefault(disturbance, []).append(dice(mask, screen.sector))
    return found


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_clips_of_other_scanners(scores: dict[str, list[float]], disturbance: str) -> None:
    assert np.mean(scores[disturbance]) > 0.88, scores[disturbance]
    assert min(scores[disturbance]) > 0.75, scores[disturbance]


def test_clips_of_other_scanners_on_average(scores: dict[str, list[float]]) -> None:
    everything = np.concatenate(list(scores.values()))
    assert everything.mean() > 0.95
    assert np.mean(everything > 0.9) > 0.85


def test_stills_of_other_scanners() -> None:
    scores = []
    for number, shape in enumerate(SHAPES):
        screen = phantom(FIRST_SEED + 500 + number, shape=shape, frames=1)
        with pytest.warns(SectorGuessWarning):
            scores.append(dice(UltrasoundSectorMask()(screen.clip[..., 0])[0] > 0, screen.sector))
    assert np.mean(scores) > 0.88, scores
    assert min(scores) > 0.7, scores


@pytest.mark.parametrize(
    ("name", "box"),
    [("US1_UNCR.dcm", (108, 338, 8, 630)), ("examples_palette.dcm", (50, 155, 340, 590))],
)
def test_real_stills(name: str, box: tuple[int, int, int, int]) -> None:
    image = LoadUltrasound(color="rgb")(get_testdata_file(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mask = UltrasoundSectorMask("still")(image)[0].numpy() > 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    np.testing.assert_allclose((rows[0], rows[-1], columns[0], columns[-1]), box, atol=15)


def test_regions_that_do_not_fit_are_refused_with_a_warning(real_clip: np.ndarray, real_mask: np.ndarray) -> None:
    image = LoadUltrasound(color="rgb")(get_testdata_file("examples_ybr_color.dcm"))
    with pytest.warns(UserWarning, match="does not fit the image"):
        mask = UltrasoundSectorMask()(image)
    assert isinstance(mask, MetaTensor)
    assert mask.meta["sector_source"] == "clip"
    assert mask.dtype == torch.uint8
    assert dice(mask[0].numpy() > 0, real_mask) > 0.99
    with pytest.raises(ValueError, match="does not fit the image"):
        UltrasoundSectorMask("regions")(image)
    shifted = MetaTensor(torch.from_numpy(real_clip), meta=_regions(_region(0, 0, 60, 60)))
    with pytest.warns(UserWarning, match="most of what moves is outside"):
        assert UltrasoundSectorMask()(shifted).meta["sector_source"] == "clip"


def _region(x0: int, y0: int, x1: int, y1: int, spatial_format: int = 1, data_type: int = 1) -> dict[str, object]:
    place = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return {"spatial_format": spatial_format, "data_type": data_type, "flags": 2, **place}


def _regions(*regions: dict[str, object]) -> dict[str, str]:
    return {"ultrasound_regions": json.dumps(regions)}


def test_region_bounds_the_search_and_is_the_last_resort() -> None:
    screen = phantom(7, shape="linear", size=(240, 320), frames=8)
    rows, columns = np.flatnonzero(screen.sector.any(axis=1)), np.flatnonzero(screen.sector.any(axis=0))
    middle = int(columns.mean())
    half = _region(int(columns[0]), int(rows[0]), middle, int(rows[-1]))
    image = MetaTensor(torch.from_numpy(screen.clip), meta=_regions(half, _region(0, 0, 9, 9, 3, 3)))
    mask = UltrasoundSectorMask("regions")(image)
    assert mask.meta["sector_source"] == "regions"
    assert not mask[0, :, middle + 1 :].any()
    assert mask[0, :, :middle].numpy()[screen.sector[:, :middle]].mean() > 0.9
    black = torch.zeros(1, 100, 100)
    black[0, 50, 50] = 1
    whole = UltrasoundSectorMask()(MetaTensor(black, meta=_regions(_region(20, 30, 79, 89))))
    assert whole.sum() == 60 * 60
    assert whole[0, 30:90, 20:80].all()


@pytest.mark.parametrize("convert", [lambda a: a / 255.0, lambda a: (a.astype(np.float32) - 40) / 17, torch.from_numpy])
def test_value_range_and_container_do_not_matter(convert: object) -> None:
    clip = a_clip()
    expected = UltrasoundSectorMask()(clip)
    assert isinstance(expected, np.ndarray)
    assert expected.dtype == np.uint8
    got = UltrasoundSectorMask()(convert(clip))
    assert isinstance(got, torch.Tensor) == (convert is torch.from_numpy)
    assert dice(np.asarray(got)[0] > 0, expected[0] > 0) > 0.995


def test_dictionary_version_respects_an_annotation() -> None:
    clip = a_clip()
    find = UltrasoundSectorMaskd(["image", "other"], mask_key="roi", allow_missing_keys=True)
    np.testing.assert_array_equal(find({"image": clip, "label": 1})["roi"], UltrasoundSectorMask()(clip))
    given = np.ones((1, 3, 3))
    assert find({"image": clip, "roi": given})["roi"] is given
    assert find({"label": 1}) == {"label": 1}
    assert "roi" in find({"other": clip})
    with pytest.raises(KeyError):
        UltrasoundSectorMaskd("image")({"label": 1})


def test_config_and_pickle() -> None:
    config = {"_target_": "monai_debias.apps.ultrasound.UltrasoundSectorMaskd", "keys": "image", "source": "clip"}
    built = ConfigParser({"t": config}).get_parsed_content("t")
    clip = a_clip()
    once, again = built({"image": clip})["mask"], pickle.loads(pickle.dumps(built))({"image": clip})["mask"]  # noqa: S301
    np.testing.assert_array_equal(once, again)


def test_still_where_a_clip_is_needed() -> None:
    clip = a_clip()
    for still in (clip[..., 0], clip[..., :1]):
        with pytest.raises(ValueError, match="it is a still"):
            UltrasoundSectorMask("clip")(still)
    frozen = np.repeat(clip[..., :1], 5, axis=-1)
    with pytest.raises(ValueError, match=r"nothing moves.* in the 5"):
        UltrasoundSectorMask("clip")(frozen)
    with pytest.warns(SectorGuessWarning):
        mask = UltrasoundSectorMask()(MetaTensor(torch.from_numpy(frozen)))
    assert mask.meta["sector_source"] == "still"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 64, 64, 4)), "0 everywhere"),
        (np.full((1, 64, 64), 7), "7 everywhere"),
        (np.zeros((64, 64)), "shape"),
        (np.zeros((1, 64, 64, 2, 2)), "shape"),
        (np.zeros((1, 64, 8, 20)), "at least 24 rows and columns"),
        (np.zeros((1, 64, 64, 0)), "shape"),
        (np.full((1, 64, 64, 4), np.nan), "NaN"),
        (np.pad(np.full((1, 2, 2), np.inf), ((0, 0), (30, 30), (30, 30))), "infinite"),
        (np.pad(np.ones((1, 2, 2, 3)), ((0, 0), (30, 30), (30, 30), (0, 0))), "no ultrasound sector found"),
    ],
)
def test_bad_images(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UltrasoundSectorMask()(image)


def test_regions_demanded_but_missing() -> None:
    with pytest.raises(ValueError, match="none of 2-D tissue"):
        UltrasoundSectorMask("regions")(a_clip())
    with pytest.raises(ValueError, match="expected 'auto'"):
        UltrasoundSectorMask("motion")


def test_pydicom_regions_are_read() -> None:
    dataset = pydicom.dcmread(get_testdata_file("OBXXXX1A.dcm"), stop_before_pixels=True)
    assert len(dataset.SequenceOfUltrasoundRegions) == 2
    mask = UltrasoundSectorMask("regions")(LoadUltrasound()(get_testdata_file("OBXXXX1A.dcm")))
    assert mask.meta["sector_source"] == "regions"
    assert not mask[0, :60].any()
    assert not mask[0, :, :120].any()


def test_region_that_covers_the_whole_image_is_no_sector(real_clip: np.ndarray, real_mask: np.ndarray) -> None:
    image = MetaTensor(torch.from_numpy(real_clip), meta=_regions(_region(0, 0, 319, 239)))
    with pytest.warns(UserWarning, match="cover the whole image"):
        mask = UltrasoundSectorMask()(image)
    assert mask.meta["sector_source"] == "clip"
    np.testing.assert_array_equal(mask[0].numpy() > 0, real_mask)
    with pytest.raises(ValueError, match="cover the whole image"):
        UltrasoundSectorMask("regions")(image)


def number_of_calls(function: Callable[[], Any]) -> int:
    """How many functions, of Python and of C, a function calls."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


def test_more_pixels_and_marks_take_no_more_calls() -> None:
    """Fine speckle has thousands of bright marks: a pass over the image for each of them would take a minute."""
    calls = []
    for rows, columns in ((360, 480), (720, 960)):  # marks and pixels both grow four times
        rng = np.random.default_rng(0)
        row, column = np.mgrid[:rows, :columns] / rows
        inside = np.hypot(row - 0.05, column - 0.67) < 0.85
        inside &= np.abs(column - 0.67) < row
        still = rng.rayleigh(40, (rows, columns))
        clip = [(inside * (still + rng.normal(0, 4, still.shape))).clip(0, 255).astype(np.uint8) for _ in range(6)]
        image = np.stack(clip, axis=-1)[None]
        calls.append(number_of_calls(partial(UltrasoundSectorMask(), image)))
    assert calls[1] < 1.5 * calls[0]
