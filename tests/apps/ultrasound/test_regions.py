# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import math

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from monai_debias.apps.ultrasound.regions import read_regions, spacing_from_regions
from monai_debias.data.reading import FileReadWarning


def parse(*items):
    ds = Dataset()
    ds.SequenceOfUltrasoundRegions = list(items)
    return read_regions(ds)


def test_no_regions():
    assert read_regions(Dataset()) == []
    assert spacing_from_regions([], 10, 10) is None


@pytest.mark.parametrize("keyword", ["RegionLocationMaxX1", "RegionDataType", "RegionSpatialFormat"])
def test_region_without_a_place_or_a_type_is_left_out(region, keyword):
    with pytest.warns(FileReadWarning, match=f"without {keyword} is left out"):
        regions = parse(region(**{keyword: None}), region())
    assert len(regions) == 1


def test_region_that_ends_before_it_begins_is_left_out(region):
    with pytest.warns(FileReadWarning, match=r"ends before it begins \(x0 30, y0 1, x1 20, y1 15\)"):
        assert parse(region(RegionLocationMinX0=30)) == []


def test_region_without_scale_keeps_its_place(region):
    with pytest.warns(FileReadWarning, match="without PhysicalDeltaX, PhysicalDeltaY has no scale"):
        regions = parse(region(PhysicalDeltaX=None, PhysicalDeltaY=None))
    assert (regions[0]["x0"], regions[0]["y1"]) == (2, 15)
    assert spacing_from_regions(regions, 100, 100) is None


@pytest.mark.parametrize("value", [[0.1, 0.2], math.nan, math.inf])
def test_odd_scale_of_a_region_is_unknown(region, value):
    with pytest.warns(FileReadWarning, match=r"PhysicalDeltaX is .*expected"):
        regions = parse(region(PhysicalDeltaX=value))
    assert math.isnan(regions[0]["delta_x"])
    assert spacing_from_regions(regions, 100, 100) is None


@pytest.mark.parametrize(("vr", "units"), [("US", [3, 3]), ("FD", -1.0), ("FD", 2.5), ("LO", "cm")])
def test_odd_units_of_a_region_are_none(region, vr, units):
    item = region()
    item["PhysicalUnitsXDirection"] = DataElement("PhysicalUnitsXDirection", vr, units)
    with pytest.warns(FileReadWarning, match="PhysicalUnitsXDirection is "):
        assert parse(item)[0]["units_x"] == 0


def test_what_is_no_sequence_is_unknown():
    ds = Dataset()
    ds["SequenceOfUltrasoundRegions"] = DataElement("SequenceOfUltrasoundRegions", "LO", "text")
    with pytest.warns(FileReadWarning, match="SequenceOfUltrasoundRegions is 'text', expected a sequence"):
        assert read_regions(ds) == []


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
