# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""BrixIA, in a folder laid out as it is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_debias.apps.radiography import build_chest_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import items, labels, left_out, sections

pytestmark = pytest.mark.filterwarnings("ignore:.*BrixIA")


def test_brixia(tmp_path, write_film):
    path = build_chest_datalist("brixia", layouts.brixia(tmp_path, write_film))
    parts = sections(path)
    assert {Path(item["image"]).stem for item in parts["test"]} == {"2306", "2308"}
    assert left_out(tmp_path) == {"is of a patient whom the authors' split also tests on.": 1}  # patient 0
    by_name = {Path(item["image"]).stem: item for item in items(path)}
    assert by_name["2304"]["brixia_score"] == "001123"
    assert by_name["2304"]["severity"] == 7
    assert [labels(path)[str(n)] for n, value in enumerate(by_name["2304"]["label"]) if value] == [
        *("lower right", "upper left", "middle left", "lower left"),
    ]
    assert by_name["2301"]["label"] == [0] * 6  # "0" for "000000"
    assert by_name["2301"].items() >= {"polarity": "MONOCHROME1", "manufacturer": "SIEMENS", "sex": "M"}.items()
    path = build_chest_datalist("brixia", tmp_path, "COVID-19", "softmax", overwrite=True)  # to be joined with others
    assert labels(path) == {"0": "COVID-19"}
    table = tmp_path / "metadata_global_v2.csv"
    table.write_text(table.read_text().replace("333333", "333433"))
    with pytest.raises(ValueError, match=r"has the BrixiaScore '333433' for 2302\.dcm, expected six digits"):
        build_chest_datalist("brixia", tmp_path, overwrite=True)
    table.write_text(table.read_text().replace(";", ","))
    with pytest.raises(ValueError, match="has no column 'Filename', expected one; its columns are Filename,StudyId"):
        build_chest_datalist("brixia", tmp_path, overwrite=True)
