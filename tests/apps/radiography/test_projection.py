# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Frontal or lateral, which side, which part of the body: as the header says it."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from monai_debias.data import FileReadWarning, UnrelatedFileError
from tests.apps.radiography.films import GREY, change, load


def code(value, scheme):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "a view"
    return [item]


LATERAL = [
    {"ViewPosition": "LL"},
    {"ViewPosition": "LATERAL"},
    {"ViewPosition": "xtable lateral"},
    {"ViewPosition": "", "ViewCodeSequence": code("399173006", "SCT")},
    {"ViewPosition": "", "ViewCodeSequence": code("R-10236", "SRT")},  # the same in SNOMED's older scheme
    {"ViewPosition": "", "PatientOrientation": ["P", "F"]},
]
FRONTAL = [
    {"ViewPosition": "AP LLD"},
    {"ViewPosition": "", "ViewCodeSequence": code("399348003", "SCT")},
    {"ViewPosition": "", "PatientOrientation": ["L", "F"]},
]
UNTOLD = [
    {"ViewPosition": "RLO"},
    {"ViewPosition": "", "ViewCodeSequence": code("R-10236", "99OWN")},
    {"ViewPosition": "", "PatientOrientation": ["LA", "F"]},
    {"ViewPosition": "", "PatientOrientation": "L"},
]


@pytest.mark.parametrize("header", LATERAL)
def test_lateral_films_are_named_and_refused(tmp_path, write_film, header):
    path = write_film(tmp_path / "a.dcm", GREY, **header)
    element = next(keyword for keyword, value in header.items() if value)
    with pytest.raises(UnrelatedFileError, match=rf'a\.dcm: is a lateral film \({element}.*views="any"'):
        load(path)
    assert load(path, views="any")[1]["view"] == load(path, views="lateral")[1]["view"] == "lateral"


@pytest.mark.parametrize("header", FRONTAL)
def test_frontal_films(tmp_path, write_film, header):
    path = write_film(tmp_path / "a.dcm", GREY, **header)
    assert load(path)[1]["view"] == "frontal"
    with pytest.raises(UnrelatedFileError, match="is a frontal film"):
        load(path, views="lateral")


@pytest.mark.parametrize("header", UNTOLD)
def test_a_view_that_the_header_does_not_tell_is_neither(tmp_path, write_film, header):
    path = write_film(tmp_path / "a.dcm", GREY, **header)
    assert load(path)[1]["view"] == load(path, views="lateral")[1]["view"] == ""


def test_elements_that_contradict_each_other(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY, PatientOrientation=["A", "F"])
    with pytest.warns(FileReadWarning, match=r"a\.dcm: ViewPosition PA says frontal, PatientOrientation says lateral"):
        assert load(path)[1]["view"] == "frontal"


def test_part_of_the_body(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY, BodyPartExamined="Hand")
    assert load(path)[1]["body_part"] == "HAND"
    with pytest.raises(UnrelatedFileError, match=r"a\.dcm: shows HAND .* expected CHEST"):
        load(path, body_part="chest")
    assert load(change(path, BodyPartExamined="PORT CHEST"), body_part="CHEST")[1]["body_part"] == "PORT CHEST"
    assert load(change(path, BodyPartExamined=""), body_part="CHEST")[1]["body_part"] == ""


def test_laterality(tmp_path, write_film):
    path = write_film(tmp_path / "a.dcm", GREY, Laterality="R")
    assert load(path)[1]["laterality"] == "R"
    assert load(change(path, ImageLaterality="L"))[1]["laterality"] == "L"
    assert load(change(path, ImageLaterality="U"))[1]["laterality"] == ""
