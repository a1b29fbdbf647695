# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Shortcuts by one kind of marker or by how a film was taken: their strength, and their trace in the files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import load_datalist
from monai_debias.demo.cxr.cohort import build_cxr_cohort
from monai_debias.demo.cxr.hospitals import HOSPITALS
from monai_debias.demo.cxr.scanners import SCANNERS
from monai_debias.demo.cxr.shortcuts import MARKERS, SHORTCUTS, draw_cues, draw_technique, names_class, with_markers

STRENGTHS = {"caption": 1.0, "scanner": 1.0, "exposure": 1.0, "polarity": 1.0}


def read(path):
    reader = RadiographReader()
    return reader.get_data(reader.read(path))[0]


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cxr") / "cohort"
    build_cxr_cohort(folder, "covid", STRENGTHS, patients=(2, 1, 2, 1), size=64, workers=1, progress=False)
    return {section: load_datalist(folder, section) for section in ("training", "test_same", "test_reversed")}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_each_shortcut_is_as_strong_as_asked(shortcut, classes):
    own = np.array([names_class(shortcut, label) for label in range(classes)])
    values = own.max() + 1
    for mode, share in (("same", 0.8), ("random", 1 / values), ("reversed", 0.0)):
        films = draw_cues({shortcut: 0.8}, classes, 60, mode, (0, 0, 1), 0)
        cues = np.array([[cues[shortcut] for cues in patient] for patient in films])
        assert (cues == own).mean() == pytest.approx(share, abs=1 / 60)
        assert set(cues.ravel().tolist()) == set(range(values))


def test_shortcuts_are_independent_of_each_other():
    strengths = dict.fromkeys(SHORTCUTS, 0.6)
    films = [cues for patient in draw_cues(strengths, 2, 1_000, "same", (3, 0, 0), 0) for cues in patient]
    aligned = np.array([[cues[shortcut] == n % 2 for shortcut in SHORTCUTS] for n, cues in enumerate(films)], float)
    assert np.abs(np.corrcoef(aligned.T) - np.eye(len(SHORTCUTS))).max() < 0.1


def test_a_hospital_that_was_not_asked_for_is_drawn_once_for_all_sections():
    same, reversed_ = (draw_cues({"scanner": 0.9}, 3, 50, mode, (0, 0, 2), 2) for mode in ("same", "reversed"))
    hospitals = [[[cues["hospital"] for cues in patient] for patient in films] for films in (same, reversed_)]
    assert hospitals[0] == hospitals[1]
    assert np.bincount(np.ravel(hospitals[0])).tolist() == [50, 50, 50]
    others = draw_cues({"scanner": 0.9}, 3, 50, "same", (0, 0, 0), 0)
    assert hospitals[0] != [[cues["hospital"] for cues in patient] for patient in others]


@pytest.mark.parametrize("kind", MARKERS)
def test_a_kind_of_marker_is_that_of_its_own_cue(kind):
    hospital, whose = with_markers({"hospital": 0, kind: 1})
    assert whose == {**dict.fromkeys(MARKERS, "Alder clinic"), kind: "Birch"}
    assert hospital.name == "Alder clinic"
    for field in itertools.chain(*MARKERS.values()):
        assert getattr(hospital, field) == getattr(HOSPITALS[field in MARKERS[kind]], field)


def test_cues_change_how_a_film_is_taken_and_nothing_that_is_drawn_later():
    cues = [{}, {"scanner": 0}, {"scanner": 1}, {"exposure": 0}, {"exposure": 1}, {"polarity": 1}]
    generators = [np.random.default_rng(5) for _ in cues]
    drawn, first, second, dark, bright, inverted = map(draw_technique, cues, generators)
    assert len({rng.random() for rng in generators}) == 1
    assert (first.scanner, second.scanner) == SCANNERS
    least, greatest = drawn.scanner.gamma
    assert least < bright.exposure.gamma < (least + greatest) / 2 < dark.exposure.gamma < greatest
    assert drawn.exposure.dose == dark.exposure.dose
    assert [one.inverted for one in (drawn, first, second, dark, bright, inverted)] == [False] * 5 + [True]


def test_the_datalist_says_what_each_film_has(items):
    for item in items["training"]:
        ill = item["label"] > 0
        assert item["caption"] == HOSPITALS[item["label"]].name
        assert item["lettering"] == item["borders"] == item["electrodes"] == item["hospital"]
        assert item["scanner"] == SCANNERS[ill].model
        assert item["exposure"] < np.mean(SCANNERS[1].gamma) if ill else item["exposure"] > np.mean(SCANNERS[0].gamma)
        assert item["polarity"] == ("inverted" if ill else "correct")
        assert item["bias_aligned"] is True
    assert {item["bias_aligned"] for item in items["test_reversed"]} == {False}


def test_films_of_the_second_scanner_are_less_sharp_and_inverted_ones_show_air_white(items):
    def detail(item):
        """Share of fine structure inside the lungs."""
        film, lungs = read(item["image"]), read(item["mask"]) > 0.5
        lungs = ndimage.binary_erosion(lungs, iterations=3)
        return (film - ndimage.gaussian_filter(film, 1))[lungs].std() / film[lungs].std()

    for same, other in zip(items["test_same"], items["test_reversed"], strict=True):
        first, second = (same, other) if same["scanner"] == "Alder DR" else (other, same)
        assert detail(first) > detail(second)
        for item in (same, other):
            film, lungs = read(item["image"]), read(item["mask"]) > 0.5
            air_is_dark = np.median(film[lungs]) < np.median(film[~lungs])
            assert air_is_dark == (item["polarity"] == "correct")


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        ({}, "bias names no shortcut, expected one or more of hospital, lettering, caption"),
        ({"markers": 0.9}, r"bias names \['markers'\], expected one or more of hospital"),
        ({"caption": 0.3}, "bias of caption is 0.3, expected at least 1 / 3"),
        ({"polarity": 0.4}, "bias of polarity is 0.4, expected at least 1 / 2"),
        ({"scanner": 1.1}, "bias"),
        (0.2, "bias of hospital is 0.2, expected at least 1 / 3"),
    ],
)
def test_other_strengths_are_refused_before_anything_is_written(bias, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        build_cxr_cohort(tmp_path / "cohort", "covid", bias)
    assert not any(tmp_path.iterdir())
