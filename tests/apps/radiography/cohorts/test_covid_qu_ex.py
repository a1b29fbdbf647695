# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""COVID-QU-Ex, in a folder laid out as it is published."""

from __future__ import annotations

import shutil

import pytest

from monai_debias.apps.radiography import build_chest_datalist
from monai_debias.data import load_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import items, load, sections

pytestmark = pytest.mark.filterwarnings("ignore:.*COVID-QU-Ex")


@pytest.mark.parametrize("doubled", [True, False])
def test_covid_qu_ex(tmp_path, doubled):
    with pytest.warns(UserWarning, match=r"1 of 2 films have no mask: .*/lung masks has none of Train_Normal_0\.png"):
        path = build_chest_datalist("covid-qu-ex", layouts.covid_qu_ex(tmp_path, doubled))
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 6, "validation": 6, "test": 6}
    assert [("mask" in item) for item in items(path)].count(False) == 1
    item = load_datalist(tmp_path, "test")[0]
    sample = load(item)
    assert sample["mask"].shape == sample["image"].shape


def test_covid_qu_ex_without_a_folder_of_masks(tmp_path):
    layouts.covid_qu_ex(tmp_path, doubled=False)
    shutil.rmtree(tmp_path / "Lung Segmentation Data" / "Val" / "COVID-19" / "lung masks")
    with pytest.warns(UserWarning, match=r"2 of 2 films have no mask: .*Val/COVID-19/lung masks does not exist"):
        build_chest_datalist("covid-qu-ex", tmp_path)


def test_a_class_without_validation_cases_is_told(tmp_path, caplog):
    layouts.covid_qu_ex(tmp_path)
    for image in (tmp_path / "Lung Segmentation Data").glob("**/Val/Normal/images/*.png"):
        image.unlink()
    build_chest_datalist("covid-qu-ex", tmp_path)
    assert "section 'validation' of" in caplog.text
    assert "has no Normal" in caplog.text
