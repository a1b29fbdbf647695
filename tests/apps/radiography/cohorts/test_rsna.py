# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""RSNA, in a folder laid out as it is published."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from monai.transforms import LoadImaged

from monai_debias.apps.radiography import RadiographReader, build_chest_datalist
from monai_debias.data import LeftOutError, load_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import QUARTERS, THIRDS, items


def test_rsna(tmp_path, write_film):
    path = build_chest_datalist("rsna", layouts.rsna(tmp_path, write_film))
    assert Counter(item["label"] for item in items(path)) == {0: 5, 1: 5}
    assert {item["patient_id"] for item in items(path)} == {"1", "2", "3", "4", "5"}
    assert Counter(item["polarity"] for item in items(path)) == {"MONOCHROME1": 2, "MONOCHROME2": 8}
    assert items(path)[0].items() >= {"view": "frontal", "sex": "F", "age": 51, "site": "NIH Clinical Center"}.items()
    assert json.loads(Path(path).read_text())["overlaps"].keys() == {"nih"}
    films = {item["image"]: item for item in load_datalist(tmp_path, "training")}
    for item in films.values():  # MONOCHROME1 is inverted by the reader
        sample = LoadImaged("image", reader=RadiographReader())(item)
        n = int(Path(item["image"]).stem[-2:])
        pixels = np.random.RandomState(n).randint(0, 256, (16, 16), dtype=np.uint8) / 255
        np.testing.assert_allclose(sample["image"], 1 - pixels if n in (3, 4) else pixels, atol=1e-6)
    path = build_chest_datalist("rsna", tmp_path, "normal,pneumonia", overwrite=True, **THIRDS)
    assert Counter(item["label"] for item in items(path)) == {0: 3, 1: 5}


def test_rsna_without_the_extra_files(tmp_path, write_film):
    layouts.rsna(tmp_path, write_film, mappings=False, classes=False)
    with pytest.warns(UserWarning, match="each film of RSNA counts as a patient of its own"):
        path = build_chest_datalist("rsna", tmp_path, **QUARTERS)
    assert len({item["patient_id"] for item in items(path)}) == 10
    damaged = sorted((tmp_path / "stage_2_train_images").iterdir())[4]
    damaged.write_bytes(b"no DICOM")
    with pytest.warns(UserWarning, match="RSNA"), pytest.raises(LeftOutError, match=r"1 of 10 films .*damaged"):
        build_chest_datalist("rsna", tmp_path, overwrite=True)
    with pytest.warns(UserWarning, match="RSNA"), pytest.raises(ValueError, match="no image has the label 'normal'"):
        build_chest_datalist("rsna", tmp_path, "normal,pneumonia", overwrite=True, allow_missing=True)
    for text in ('[{"img": 1}]', "cut sh"):
        (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").write_text(text)
        with pytest.raises(ValueError, match=r"mappings_2018\.json must be a list of objects with subset_img_id"):
            build_chest_datalist("rsna", tmp_path, overwrite=True)
