# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Shenzhen and Montgomery, in a folder laid out as it is published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from monai_debias.apps.radiography import build_chest_datalist
from monai_debias.data import load_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import QUARTERS, items, labels, load


@pytest.mark.parametrize(("root", "masks"), [("ChinaSet_AllFiles", "mask/mask"), (".", "mask")])
def test_shenzhen(tmp_path, root, masks):
    path = build_chest_datalist("shenzhen", layouts.shenzhen(tmp_path, root, masks))
    assert labels(path) == {"0": "normal", "1": "tuberculosis"}
    assert Counter(item["label"] for item in items(path)) == {0: 6, 1: 6}
    assert all(str(item["label"]) == Path(item["image"]).stem[-1] for item in items(path))
    assert sum("mask" in item for item in items(path)) == 9
    assert Counter(item["sex"] for item in items(path)) == {"M": 8, "F": 4}
    assert {item["age"] for item in items(path)} == set(range(41, 53))
    (tmp_path / root / "CXR_png" / "CHNCXR_0013_2.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"CHNCXR_0013_2\.png is not named CHNCXR_0001_0\.png"):
        build_chest_datalist("shenzhen", tmp_path, overwrite=True)


def test_montgomery_joins_the_two_lungs(tmp_path):
    path = build_chest_datalist("montgomery", layouts.montgomery(tmp_path), **QUARTERS)
    with_mask = [item for item in items(path) if "mask" in item]
    assert len(with_mask) == 9  # one has the left lung only
    item = next(item for item in load_datalist(tmp_path, "training") if "mask" in item)
    expected = np.zeros((16, 16))
    expected[4:12, 2:7] = expected[4:12, 9:14] = 1
    np.testing.assert_array_equal(load(item)["mask"][0], expected)
    assert {item["age"] for item in items(path)} == set(range(41, 51))
    assert Counter(item["sex"] for item in items(path)) == {"F": 5, "M": 5}
    layouts.mask(tmp_path / "MontgomerySet" / "ManualMask" / "leftMask" / "MCUCXR_0001_1.png", slice(0, 4))
    layouts.film(tmp_path / "MontgomerySet" / "ManualMask" / "leftMask" / "MCUCXR_0002_0.png")
    with pytest.raises(ValueError, match=r"the mask .*leftMask/MCUCXR_0002_0\.png has .* values"):
        build_chest_datalist("montgomery", tmp_path, overwrite=True, **QUARTERS)
