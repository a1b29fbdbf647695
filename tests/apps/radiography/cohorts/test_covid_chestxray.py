# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""covid-chestxray-dataset, in a folder laid out as it is published."""

from __future__ import annotations

from collections import Counter

import pytest

from monai_debias.apps.radiography import build_chest_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import QUARTERS, items, labels, left_out

pytestmark = pytest.mark.filterwarnings("ignore:.*covid-chestxray")


def test_covid_chestxray_dataset(tmp_path):
    path = build_chest_datalist("covid-chestxray-dataset", layouts.covid_chestxray(tmp_path), **QUARTERS)
    assert labels(path) == {"0": "No Finding", "1": "other pneumonia", "2": "COVID-19"}
    assert Counter(item["label"] for item in items(path)) == {0: 4, 1: 4, 2: 4}
    assert left_out(tmp_path) == {
        "is a lateral film.": 1,
        "is of the modality CT.": 1,
        "has no label yet (todo).": 1,
        "has no label yet (Unknown).": 1,
    }
    assert {(item["label"], item["site"]) for item in items(path)} == {
        (0, "Hospital, Hannover, Germany"),
        (1, "Hospital, Hannover, Germany"),
        (2, "Hospital, Cona, Italy"),
    }
    assert {item["view_position"] for item in items(path)} == {"PA", "AP", "AP Supine"}
    path = build_chest_datalist("covid-chestxray-dataset", tmp_path, ["Viral", "Bacterial"], overwrite=True, **QUARTERS)
    assert Counter(item["label"] for item in items(path)) == {0: 4, 1: 4}
