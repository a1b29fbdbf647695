# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import copy
import json
import pickle

import pytest
from pydicom.dataset import Dataset

from monai_debias.data.ultrasound_regions import UltrasoundRegions, read_regions, spacing_from_regions


def parse(*items):
    ds = Dataset()
    ds.SequenceOfUltrasoundRegions = list(items)
    return read_regions(ds)


def test_no_regions():
    assert read_regions(Dataset()) == []
    assert spacing_from_regions([], 10, 10) is None


def test_incomplete_region_is_left_out(region):
    with pytest.warns(UserWarning, match="without PhysicalDeltaX, PhysicalDeltaY"):
        regions = parse(region(PhysicalDeltaX=None, PhysicalDeltaY=None), region())
    assert len(regions) == 1


def test_spacing_is_that_of_the_largest_2d_region_in_cm(region):
    small = region(RegionLocationMaxX1=6, PhysicalDeltaX=1.0)
    doppler = region(RegionSpatialFormat=3, RegionLocationMaxY1=90, PhysicalUnitsXDirection=4)
    assert spacing_from_regions(parse(doppler, small, region()), 100, 100) == pytest.approx((0.4, 0.5))


@pytest.mark.parametrize(
    "changes",
    [
        {"PhysicalUnitsXDirection": 0},
        {"PhysicalUnitsYDirection": 4},
        {"PhysicalDeltaX": 0.0},
        {"PhysicalDeltaY": float("nan")},
        {"RegionSpatialFormat": 2},
    ],
)
def test_regions_without_scale_give_no_spacing(region, changes):
    assert spacing_from_regions(parse(region(**changes)), 100, 100) is None


def test_negative_deltas_give_positive_spacing(region):
    assert spacing_from_regions(parse(region(PhysicalDeltaY=-0.04)), 100, 100) == pytest.approx((0.4, 0.5))


def test_region_that_ends_one_pixel_late_is_accepted(region):
    assert spacing_from_regions(parse(region()), 15, 20) is not None
    with pytest.warns(UserWarning, match="column 20, row 15, outside of the image of 15 rows x 19 columns"):
        assert spacing_from_regions(parse(region()), 15, 19) is None


def test_copies_keep_the_type(region):
    regions = parse(region())
    unpickled = pickle.loads(pickle.dumps(regions))  # noqa: S301
    for twin in (regions.copy(), copy.copy(regions), copy.deepcopy(regions), unpickled):
        assert type(twin) is UltrasoundRegions
        assert twin == regions


def test_default_collate_takes_lists_of_different_length(region):
    from torch.utils.data import default_collate

    batch = default_collate([{"r": parse(region())}, {"r": parse()}, {"r": parse(region(), region())}])
    assert [len(json.loads(text)) for text in batch["r"]] == [1, 0, 2]
