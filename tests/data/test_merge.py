# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Datalists of several cohorts become one, whose patients, classes and sites are kept apart."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from monai_debias.__main__ import main
from monai_debias.data import load_datalist, merge_datalists, save_datalist

CLASSES = {"alder": ("No Finding", "Pneumonia"), "birch": ("Pneumonia", "COVID-19"), "cedar": ("COVID-19",)}
NAMES = {"No Finding": "normal", "Pneumonia": "pneumonia", "COVID-19": "COVID-19"}


def write(folder, cohort, labels, sections=("training", "validation", "test"), n=20, **content):
    """A datalist of n patients in each section."""
    (folder / cohort).mkdir(parents=True, exist_ok=True)
    items = {}
    for section in sections:
        items[section] = []
        for number in range(n):
            image = folder / cohort / f"{section}{number}.png"
            image.write_bytes(b"")
            item = {"image": image.name, "label": number % len(labels), "patient_id": f"{section}{number}"}
            items[section].append({**item, **({"site": f"{cohort} {number % 3}"} if cohort == "birch" else {})})
    save_datalist(folder / cohort, items, labels, cohort, overwrite=True, **content)
    return folder / cohort


@pytest.fixture(name="folder")
def fixture_folder(tmp_path):
    for cohort, labels in CLASSES.items():
        write(tmp_path, cohort, labels)
    return tmp_path


def cohorts(folder):
    return [folder / cohort for cohort in CLASSES]


def example(folder):
    for cohort in ("alder", "birch"):
        write(folder, cohort, CLASSES[cohort])
    return {"datalists": [folder / "alder", folder / "birch"], "out": folder, "split_by": "patient", "overwrite": True}


EXAMPLES = {merge_datalists: example}


def sections(path):
    content = json.loads(Path(path).read_text())
    return content["labels"], {name: part for name, part in content.items() if isinstance(part, list)}


def test_sections_are_kept_and_classes_renamed(folder):
    labels, parts = sections(merge_datalists(cohorts(folder), folder / "out", class_names=NAMES))
    assert labels == {"0": "normal", "1": "pneumonia", "2": "COVID-19"}
    assert {name: len(part) for name, part in parts.items()} == {"training": 60, "validation": 60, "test": 60}
    found = Counter((item["cohort"], item["label"]) for item in parts["training"])
    assert found == {("alder", 0): 10, ("alder", 1): 10, ("birch", 1): 10, ("birch", 2): 10, ("cedar", 2): 20}
    assert len({item["patient_id"] for item in parts["training"]}) == 60
    assert parts["training"][0]["patient_id"] == "alder: training0"
    assert parts["training"][0]["site"] == "alder"
    items = load_datalist(folder / "out", "training", ["normal", "pneumonia", "COVID-19"])
    assert all(Path(item["image"]).is_file() for item in items)


def test_an_external_test_on_sites_that_were_not_trained_on(folder):
    path = merge_datalists(cohorts(folder), folder / "out", "site", "birch 1,birch 2,cedar", class_names=NAMES)
    _, parts = sections(path)
    external = {item["site"] for item in parts.pop("test_external")}
    assert external == {"birch 1", "birch 2", "cedar"}
    assert {item["site"] for part in parts.values() for item in part} == {"alder", "birch 0"}
    assert {name: len(part) > 0 for name, part in parts.items()} == dict.fromkeys(
        ("training", "validation", "test"), True
    )
    for wrong, said in (
        ({"test_sites": ["dogwood"]}, "no image is of the site dogwood; the sites are alder, birch 0"),
        ({"test_sites": list(CLASSES)}, "no site is left to train on"),
        ({}, "test_sites and split_by='site' belong together"),
    ):
        with pytest.raises(ValueError, match=said):
            merge_datalists(cohorts(folder), folder / "out", "site", overwrite=True, **wrong)
    with pytest.raises(ValueError, match="section 'test_external' has a single class, 'COVID-19'"):
        merge_datalists(cohorts(folder), folder / "out", "site", ["cedar"], overwrite=True)


def test_patients_are_drawn_anew_and_other_classes_left_out(folder):
    labels, parts = sections(merge_datalists(cohorts(folder), folder / "out", "patient", None, "COVID-19,No Finding"))
    assert labels == {"0": "COVID-19", "1": "No Finding"}
    assert sum(map(len, parts.values())) == 30 + 30 + 60
    with pytest.raises(ValueError, match="no datalist has the class Covid; they have No Finding, Pneumonia, COVID-19"):
        merge_datalists(cohorts(folder), folder / "out", class_names=["Covid"], overwrite=True)


def test_several_labels_have_to_be_the_same(tmp_path):
    for cohort, names in (("a", ("cyst", "stone")), ("b", ("stone", "cyst")), ("c", ("cyst",))):
        (tmp_path / cohort).mkdir()
        items = []
        for n in range(2):
            (tmp_path / cohort / f"{n}.png").write_bytes(b"")
            items.append({"image": f"{n}.png", "label": [1, None][: len(names)], "patient_id": str(n)})
        save_datalist(tmp_path / cohort, {"test": items}, names, "")
    _, parts = sections(merge_datalists([tmp_path / "a", tmp_path / "b"], tmp_path))
    assert [item["label"] for item in parts["test"]] == [[1, None]] * 2 + [[None, 1]] * 2
    with pytest.raises(ValueError, match="has not all of the labels cyst, stone"):
        merge_datalists([tmp_path / "a", tmp_path / "c"], tmp_path, overwrite=True)
    _, parts = sections(merge_datalists([tmp_path / "a", tmp_path / "c"], tmp_path, class_names="cyst", overwrite=True))
    assert [item["label"] for item in parts["test"]] == [[1]] * 4
    write(tmp_path, "d", ("cyst", "stone"), ("test",))
    with pytest.raises(ValueError, match="build all with the same task"):
        merge_datalists([tmp_path / "a", tmp_path / "d"], tmp_path, overwrite=True)


def test_cohorts_with_the_same_images(folder):
    write(folder, "alder", CLASSES["alder"], overlaps={"cedar": "both were taken from the same archive"})
    with pytest.warns(UserWarning, match=r"have some of the same images \(both were taken from the same archive\)"):
        merge_datalists(cohorts(folder), folder / "out")
    with pytest.raises(ValueError, match=r"alder/datalist\.json is given twice"):
        merge_datalists([folder / "alder", folder / "alder" / "datalist.json"], folder / "out", overwrite=True)


def test_the_command(folder, monkeypatch, capsys):
    both = f"{folder / 'alder'},{folder / 'birch'}"
    arguments = ["merge", both, folder / "out", "--split_by", "site", "--test_sites", "birch", "--class_names"]
    monkeypatch.setattr(sys, "argv", ["monai_debias", *map(str, arguments), json.dumps(NAMES)])
    main()
    assert capsys.readouterr().out.strip() == str(folder / "out" / "datalist.json")
    assert len(load_datalist(folder / "out", "test_external")) == 60
    monkeypatch.setattr(sys, "argv", ["monai_debias", "merge", f"{folder}/gone", str(folder)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "gone does not exist" in capsys.readouterr().err
