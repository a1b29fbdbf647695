# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""CheXpert, in a folder laid out as it is published."""

from __future__ import annotations

from collections import Counter

import pytest

from monai_debias.apps.radiography import build_chest_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import items, left_out, sections

pytestmark = pytest.mark.filterwarnings("ignore:.*CheXpert")


def test_chexpert(tmp_path):
    layouts.chexpert(tmp_path)
    with pytest.raises(ValueError, match=r"1 labels are uncertain \(Edema 1\): say what they count as"):
        build_chest_datalist("chexpert", tmp_path)
    edema = {}
    for policy, expected in (("missing", None), ("positive", 1), ("negative", 0)):
        path = build_chest_datalist("chexpert", tmp_path, uncertain=policy, overwrite=True)
        edema[policy] = {item["patient_id"]: item["label"][5] for item in items(path)}
        assert edema[policy] == {**dict.fromkeys(edema[policy], 0), "patient00003": expected}
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 5, "validation": 1, "test": 2}
    assert left_out(tmp_path) == {"is a lateral film.": 2}
    assert items(path)[0]["label"].count(1) == 1
    path = build_chest_datalist("chexpert", tmp_path, uncertain="missing", views="any", overwrite=True)
    assert Counter(item["view"] for item in items(path)) == {"frontal": 8, "lateral": 2}
    names, root = ["No Finding", "Edema", "Pneumonia"], tmp_path / "CheXpert-v1.0-small"
    path = build_chest_datalist("chexpert", root, names, "softmax", "positive", validation_fraction=0.4)
    assert Counter(item["label"] for item in items(path)) == {0: 3, 2: 4}
    assert left_out(root)["has more than one of the classes No Finding, Edema, Pneumonia."] == 1  # patient 3
    path = build_chest_datalist("chexpert", root, names, "softmax", "missing", overwrite=True, validation_fraction=0.4)
    assert left_out(root)["may be Edema."] == 1
    table = tmp_path / "CheXpert-v1.0-small" / "train.csv"
    text = table.read_text()
    table.write_text(text.replace("train/patient", "patient"))
    with pytest.raises(ValueError, match=r"train\.csv has the Path 'CheXpert-v1\.0-small/patient00001/.*, expected"):
        build_chest_datalist("chexpert", tmp_path, overwrite=True)
    table.write_text(text.replace("-1.0", "yes"))
    with pytest.raises(ValueError, match=r"train\.csv has the value 'yes' for 'Edema', expected 1, 0, -1 or nothing"):
        build_chest_datalist("chexpert", tmp_path, overwrite=True)
