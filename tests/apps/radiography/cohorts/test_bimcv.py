# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""BIMCV-COVID19, in a folder laid out as it is published."""

from __future__ import annotations

from collections import Counter

import pytest

from monai_debias.apps.radiography import build_chest_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import items, left_out

pytestmark = pytest.mark.filterwarnings("ignore:.*BIMCV")


def test_bimcv(tmp_path):
    layouts.bimcv(tmp_path)
    path = build_chest_datalist("bimcv", tmp_path, uncertain="missing")
    assert len(items(path)) == 9
    by_patient = {item["patient_id"]: item for item in items(path)}
    assert by_patient["sub-S03000"]["label"] == [1, 0, 0]
    assert by_patient["sub-S03001"]["label"] == [0, 1, 1]
    assert by_patient["sub-S03002"]["label"] == [0, 1, None]
    assert by_patient["sub-S03000"].items() >= {"view_position": "AP", "view": "frontal", "sex": "F", "age": 62}.items()
    assert Counter(item["polarity"] for item in items(path)) == {"MONOCHROME1": 5, "MONOCHROME2": 4}
    assert left_out(tmp_path) == {"is a lateral film.": 1, "has no label in a report.": 1}
    folder = tmp_path / "covid19_posi" / "derivatives" / "labels"
    (folder / "labels_covid_posi.tsv").rename(folder / "labels_covid19_posi.tsv")
    build_chest_datalist("bimcv", tmp_path / "covid19_posi", uncertain="positive")
    (folder / "labels_covid19_posi.tsv").rename(folder / "labels.tsv")
    with pytest.raises(FileNotFoundError, match=r"labels has none, expected one table labels_covid_posi\.tsv"):
        build_chest_datalist("bimcv", tmp_path, overwrite=True)
