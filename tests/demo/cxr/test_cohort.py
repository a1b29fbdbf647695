# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The cohort of chest radiographs: splits by patient, markers of the asked strength, and resumption after a kill."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from filelock import FileLock

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import load_datalist
from monai_debias.demo.cxr.cohort import build_cxr_cohort
from monai_debias.demo.sections import SECTIONS
from tests.demo.cxr.conftest import SMALL

EXAMPLES = {
    build_cxr_cohort: lambda folder: {
        "out": folder / "cohort",
        "task": "tb",
        "patients": [1, 1, 1, 1],
        "size": 32,
        "workers": 1,
        "progress": False,
    }
}


def read(path):
    reader = RadiographReader()
    return reader.get_data(reader.read(path))


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def items(cohort):
    return {section: load_datalist(cohort, section) for section in SECTIONS}


def test_datalist_describes_every_file(cohort, items):
    datalist = json.loads((cohort / "datalist.json").read_text(encoding="utf-8"))
    assert "Not films of patients" in datalist["description"]
    assert datalist["labels"] == {"0": "normal", "1": "covid19", "2": "pneumonia"}
    assert [len(items[section]) for section in SECTIONS] == [9, 3, 6, 6, 6, 3]
    listed = {item["image"] for section in items.values() for item in section}
    assert listed == {str(path) for path in cohort.rglob("*.dcm")}
    assert sorted(path.name for path in cohort.iterdir()) == sorted([*SECTIONS, "masks", "datalist.json"])


def test_splits_are_by_patient_and_each_patient_has_every_class(items):
    patients = {section: {item["patient_id"] for item in items[section]} for section in SECTIONS}
    assert patients["test_same"] == patients["test_random"] == patients["test_reversed"]
    groups = [patients[section] for section in ("training", "validation", "test_same", "test_external")]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 7
    for section in SECTIONS:
        shown = sorted((item["patient_id"], item["label"]) for item in items[section])
        assert shown == [(patient, label) for patient in sorted(patients[section]) for label in range(3)]


def test_hospitals_go_with_the_class_as_strongly_as_asked(items):
    training = {
        label: [item["bias_aligned"] for item in items["training"] if item["label"] == label] for label in range(3)
    }
    assert [sum(aligned) for aligned in training.values()] == [2, 2, 2]  # of three
    assert not any(item["bias_aligned"] for item in items["test_reversed"])
    own = {item["hospital"] for item in items["training"] if item["label"] == 1 and item["bias_aligned"]}
    assert own == {"Birch"}
    assert own.isdisjoint(item["hospital"] for item in items["test_reversed"] if item["label"] == 1)


def test_paired_sections_show_the_same_lungs_with_other_markers(items):
    differ = []
    for same, reversed_ in zip(items["test_same"], items["test_reversed"], strict=True):
        assert (same["patient_id"], same["label"]) == (reversed_["patient_id"], reversed_["label"])
        one, other = read(same["image"])[0], read(reversed_["image"])[0]
        lungs = read(same["mask"])[0] > 0.5
        np.testing.assert_array_equal(one[lungs], other[lungs])
        differ.append((one != other).mean())
    assert max(differ) > 0.02


def test_external_films_come_from_elsewhere(items):
    inside = [item for section in SECTIONS if section != "test_external" for item in items[section]]
    for key in ("hospital", "scanner"):
        assert {item[key] for item in items["test_external"]}.isdisjoint(item[key] for item in inside)
    assert {item["bias_aligned"] for item in items["test_external"]} == {None}


def test_films_are_read_upright_with_black_air(items):
    film, meta = read(items["training"][0]["image"])
    assert film.shape == (64, 64)
    assert (meta["view"], meta["body_part"], meta["spacing_source"]) == ("frontal", "CHEST", "ImagerPixelSpacing")
    clinic = [item for section in items.values() for item in section if item["hospital"] == "Alder clinic"]
    assert {item["scanner"] for item in clinic} == {"Alder DR", "Birch Mobile"}  # MONOCHROME2 and MONOCHROME1
    for item in clinic:
        film, lungs = read(item["image"])[0], read(item["mask"])[0] > 0.5
        assert np.median(film[lungs]) < np.median(film[~lungs])
        assert film[2:12, 1:10].max() > 0.8  # the R, on the side of the patient's right


def test_another_seed_shows_other_patients(cohort, tmp_path):
    other = build_cxr_cohort(tmp_path / "other", "tb", **{**SMALL, "patients": (1, 1, 1, 1)}, seed=1)
    masks = digest(other / "masks")
    assert masks.keys() <= digest(cohort / "masks").keys()
    assert all(digest(cohort / "masks")[name] != value for name, value in masks.items())


def test_a_killed_call_is_continued_and_the_same_seed_gives_the_same_bytes(cohort, tmp_path):
    """With two workers before, and one after."""
    out, partial = tmp_path / "cohort", tmp_path / ".cohort.unfinished"
    arguments = {**SMALL, "workers": 2}
    process = multiprocessing.get_context("fork").Process(
        target=build_cxr_cohort, args=(out, "covid"), kwargs=arguments
    )
    process.start()
    while len(list(partial.glob("written/*.json"))) < 2:
        time.sleep(0.005)
        assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with FileLock(partial.with_suffix(".lock"), timeout=20):  # its workers end as well
        written = [file.stem for file in partial.glob("written/*.json")]
        before = {file.name: file.stat().st_mtime_ns for name in written for file in partial.glob(f"*/{name}_*.dcm")}
    assert not out.exists()
    assert 2 <= len(written) < 7
    build_cxr_cohort(out, "covid", **SMALL)
    assert {file.name: file.stat().st_mtime_ns for file in out.rglob("*.dcm") if file.name in before} == before
    assert digest(out) == digest(cohort)
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]


def test_bad_arguments(tmp_path):
    small = {**SMALL, "patients": (1, 1, 1, 1)}
    with pytest.raises(ValueError, match="size is 33, expected an even number"):
        build_cxr_cohort(tmp_path / "cohort", **{**small, "size": 33})
    with pytest.raises(ValueError, match=r"bias of hospital is 0\.4, expected at least 1 / 2"):
        build_cxr_cohort(tmp_path / "cohort", "tb", **{**small, "bias": 0.4})
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="is not an empty directory"):
        build_cxr_cohort(tmp_path, **small)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
