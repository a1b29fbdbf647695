# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What makes a sector a guess, and is told: several areas, black gaps, sides without contact, stills."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound.load import LoadUltrasound
from monai_debias.apps.ultrasound.sector_mask import SectorGuessWarning, UltrasoundSectorMask
from tests.apps.ultrasound.sector_phantoms import phantom
from tests.apps.ultrasound.sector_screens import FIRST_SEED, a_clip, dice, screen


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("biplane", 0.8),
        ("quad", 0.65),
        ("thumbnail", 0.65),
        ("scrolling_spectrum", 0.9),
        ("sweeping_spectrum", 0.9),
        ("scrolling_mmode", 0.9),
        ("shadow", 0.75),
        ("grey_interface", 0.8),
    ],
)
def test_several_areas_are_sectors_of_their_own_or_none(kind: str, least: float) -> None:
    for seed in (FIRST_SEED, FIRST_SEED + 1):
        made = screen(kind, seed, shape="phased" if kind == "shadow" else None)
        found = UltrasoundSectorMask("clip")(made.clip)[0] > 0
        assert (found & made.sector).sum() / (found | made.sector).sum() > least
        assert (found & ~made.sector).sum() / found.sum() < 0.1


@pytest.mark.parametrize("kind", ["scrolling_spectrum", "biplane", "shadow", "grey_interface"])
def test_several_areas_of_a_still(kind: str) -> None:
    made = screen(kind, FIRST_SEED)
    with pytest.warns(SectorGuessWarning, match="by texture alone"):
        found = UltrasoundSectorMask()(made.clip[..., 0])[0] > 0
    assert (found & made.sector).sum() / (found | made.sector).sum() > 0.85


@pytest.mark.parametrize(
    ("shape", "first", "last"),
    [
        ("phased", 0.3, 0.5),
        ("curved", 0.3, 0.45),
        ("linear", 0.3, 0.5),
        ("trapezoid", 0.12, 0.5),
        ("steered", 0.3, 0.5),
    ],
)
def test_black_gap_across_the_sector_is_bridged_and_told(shape: str, first: float, last: float) -> None:
    made = phantom(FIRST_SEED, shape=shape, size=(180, 240), frames=8)
    rows = np.flatnonzero(made.sector.any(axis=1))
    gap = slice(rows[0] + int(first * len(rows)), rows[0] + int(last * len(rows)))
    made.clip[:, gap] = 0
    with pytest.warns(SectorGuessWarning, match="a black gap across the sector was bridged"):
        found = UltrasoundSectorMask()(made.clip)[0] > 0
    assert dice(found, made.sector) > 0.93


@pytest.mark.parametrize("shape", ["curved", "linear", "trapezoid", "steered"])
def test_black_near_field_is_told(shape: str) -> None:
    made = phantom(FIRST_SEED + 1, shape=shape, size=(180, 240), frames=8)
    rows = np.flatnonzero(made.sector.any(axis=1))
    made.clip[:, : rows[0] + int(0.38 * len(rows))] = 0
    with pytest.warns(SectorGuessWarning, match="a black near field may be missing"):
        UltrasoundSectorMask()(made.clip)


def test_black_near_field_of_a_phased_probe_is_completed() -> None:
    row, column = np.mgrid[:180, :240]
    sector = (np.hypot(row - 15, column - 120) < 150) & (np.abs(np.arctan2(column - 120, row - 15)) < np.radians(43))
    noise = np.random.default_rng(0).uniform(60, 255, (180, 240, 8))
    clip = np.where((sector & (row > 65))[..., None], noise, 0)[None]
    found = UltrasoundSectorMask()(clip)[0] > 0
    assert dice(found, sector) > 0.95


def test_side_without_contact_is_told() -> None:
    row, column = np.mgrid[:180, :240]
    angle = np.degrees(np.arctan2(column - 120, row - 15))
    sector = (np.hypot(row - 15, column - 120) < 150) & (angle > -43) & (angle < 15)
    clip = np.where(sector[..., None], np.random.default_rng(0).uniform(60, 255, (180, 240, 8)), 0)[None]
    with pytest.warns(SectorGuessWarning, match="leans to one side"):
        UltrasoundSectorMask()(clip)


def test_several_sectors_are_told() -> None:
    with pytest.warns(SectorGuessWarning, match="2 areas were taken for sectors of their own"):
        UltrasoundSectorMask()(screen("biplane", FIRST_SEED).clip)


def test_what_only_scrolls_is_no_sector() -> None:
    made = screen("scrolling_mmode", FIRST_SEED)
    strip = np.where(made.sector[None, ..., None], np.uint8(0), made.clip)
    with pytest.raises(ValueError, match="scrolls sideways"):
        UltrasoundSectorMask("clip")(strip)


def test_confidence_tells_a_field_of_view_from_what_is_none() -> None:
    clip = torch.from_numpy(a_clip())
    sure = UltrasoundSectorMask()(MetaTensor(clip)).meta
    assert sure["sector_confidence"] > 0.8
    assert sure["sector_doubts"] == ""
    cross = torch.zeros(1, 120, 160, 6)
    noise = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (120, 160, 6))).float()
    cross[0, 50:70], cross[0, :, 70:90] = noise[50:70], noise[:, 70:90]
    with pytest.warns(SectorGuessWarning, match="beyond its edges"):
        assert UltrasoundSectorMask()(MetaTensor(cross)).meta["sector_confidence"] < 0.6


def test_still_inside_a_region_is_a_guess_too() -> None:
    with pytest.warns(SectorGuessWarning, match="by texture alone") as caught:
        mask = UltrasoundSectorMask()(LoadUltrasound()(get_testdata_file("OBXXXX1A.dcm")))
    assert mask.meta["sector_source"] == "regions"
    assert mask.meta["sector_confidence"] < 0.6
    # an air scan: only the nearest depths are bright
    assert "of the DICOM ultrasound region" in str(caught[-1].message)
