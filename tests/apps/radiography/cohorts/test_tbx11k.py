# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""TBX11K, in a folder laid out as it is published."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path

import pytest

from monai_debias.apps.radiography import build_chest_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import items, left_out, sections

pytestmark = pytest.mark.filterwarnings("ignore:.*TBX11K")


def test_tbx11k_warns_that_it_contains_montgomery_and_shenzhen(tmp_path):
    layouts.tbx11k(tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = build_chest_datalist("tbx11k", tmp_path)
    assert any("films of Montgomery and Shenzhen" in str(warning.message) for warning in said)
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 21, "validation": 3, "test": 6}
    assert json.loads(Path(path).read_text())["overlaps"].keys() == {"montgomery", "shenzhen"}
    assert left_out(tmp_path) == {"is of another data set (imgs/extra).": 1}
    names = "active tuberculosis,obsolete tuberculosis"
    path = build_chest_datalist("tbx11k", tmp_path, names, overwrite=True, validation_fraction=0.3)
    assert Counter(item["label"] for item in items(path)) == {0: 4, 1: 4}  # others: no box, another kind
    (tmp_path / "annotations" / "json" / "TBX11K_val.json").write_text('{"images": [{"id": 1}]}')
    with pytest.raises(ValueError, match=r"TBX11K_val\.json is not a COCO file"):
        build_chest_datalist("tbx11k", tmp_path, overwrite=True)
