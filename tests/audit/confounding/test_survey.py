# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which columns of a datalist and which properties of its files are looked at."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monai_debias.audit.confounding.columns import as_column
from monai_debias.audit.confounding.picture import survey_figure
from monai_debias.audit.confounding.survey import label_questions, survey_images, survey_section
from monai_debias.audit.confounding.table import survey_lines
from monai_debias.data.inspection import inspect_datalist


@pytest.fixture(name="inspection", scope="module")
def fixture_inspection(tmp_path_factory):
    """Two findings at once, of signals of 15 patients with two recordings each: a device records the first finding."""
    folder = tmp_path_factory.mktemp("signals")
    rng = np.random.default_rng(0)
    items = []
    for n in range(30):
        finding, other = n // 2 % 2, int(rng.integers(0, 2))
        np.save(folder / f"{n}.npy", rng.normal(size=(2, 100 + 50 * finding)))
        items.append({"image": f"{n}.npy", "label": [finding, other if n % 5 else None], "patient_id": n // 2})
        items[-1] |= {"device": "AB"[finding], "paced": bool(finding), "leads": ["I", "II"], "weight": None}
    (folder / "datalist.json").write_text(json.dumps({"labels": {"0": "AF", "1": "LBBB"}, "test": items}))
    return inspect_datalist(folder, None, 1, progress=False)


def test_signals_with_several_labels(inspection):
    survey = survey_section(inspection)
    assert (survey.section, survey.images, survey.patients, survey.note) == ("test", 30, 15, "")
    found = {(line.name, line.label): line for line in survey.attributes}
    assert found.keys() == {(name, label) for name in ("device", "paced") for label in ("AF", "LBBB")}
    assert found["device", "AF"].effect == pytest.approx(1)
    assert found["device", "AF"].is_more_than_chance
    assert not found["device", "LBBB"].is_more_than_chance
    columns = {line.name: line for line in survey.properties if line.label == "AF"}
    assert columns["columns"].effect == 1
    lines = survey_lines(survey)
    assert any(line.startswith("  device, AF  ") and line.endswith("*") for line in lines)
    assert len(survey_figure(survey).axes) == 2


def test_images_without_a_patient(inspection):
    images = [replace(image, item={**image.item, "patient_id": None}) for image in inspection.images]
    survey = survey_images("test", images, inspection.labels, 0)
    assert survey.patients == 30
    assert survey.note == "an image without a patient counts as one"


def test_labels_and_columns():
    assert label_questions([0, 2, "x", None], {"0": "a", "2": "b"})[""].tolist() == [0, 1, -1, -1]
    assert label_questions([[1, -1], None], {"0": "a", "1": "b"})["b"].tolist() == [-1, -1]
    ages = as_column("age", [*range(20, 100), None, float("nan")])
    assert len(ages.values) == 9
    assert ages.values[-1] == "unknown"
    np.testing.assert_array_equal(np.bincount(ages.codes), [10] * 8 + [2])
    assert as_column("count", [0] * 50 + [*range(20)]).values[0] == "0 to 1"  # ranges do not split a value
    assert as_column("mixed", ["b", 1, "a"]).values == ("1", "a", "b")
    assert as_column("bits", [8.0, 16.0, 8.0]).values == ("8", "16")
