# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The cohort of ECGs: splits by patient, shortcuts of the asked strength, wrong labels, files, and resumption."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pydicom
import pytest
import wfdb
from filelock import FileLock
from monai.transforms import LoadImage

from monai_debias.apps.ecg import ECGReader, SignalMask
from monai_debias.data import load_datalist
from monai_debias.demo.ecg.cohort import build_ecg_cohort
from monai_debias.demo.ecg.findings import LABELS
from monai_debias.demo.ecg.leads import LEADS
from monai_debias.demo.sections import SECTIONS
from tests.demo.ecg.conftest import ALL, SMALL

TINY = {"patients": [1, 1, 1, 1], "records": 1, "sampling_rate": 100, "workers": 1, "progress": False}
EXAMPLES = {build_ecg_cohort: lambda folder: {"out": folder / "cohort", **TINY}}


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(path):
    """A record by the libraries of the formats: mV, (samples, 12), its rate and the names of the leads."""
    if path.endswith(".dcm"):
        group = pydicom.dcmread(path).WaveformSequence[0]
        names = [c.ChannelSourceSequence[0].CodeMeaning.removeprefix("Lead ") for c in group.ChannelDefinitionSequence]
        return pydicom.dcmread(path).waveform_array(0) / 1000, int(group.SamplingFrequency), names
    record = wfdb.rdrecord(path.removesuffix(".hea"))
    return record.p_signal, record.fs, record.sig_name


@pytest.fixture(scope="module")
def items(cohort):
    return {section: load_datalist(cohort, section, LABELS) for section in SECTIONS}


def test_datalist_describes_every_file(cohort, items):
    datalist = json.loads((cohort / "datalist.json").read_text(encoding="utf-8"))
    assert "Not records of patients" in datalist["description"]
    assert [name for name, value in datalist.items() if isinstance(value, list)] == list(SECTIONS)
    assert [len(items[section]) for section in SECTIONS] == [6, 2, 4, 4, 4, 2]
    listed = {item["image"] for section in items.values() for item in section}
    assert listed == {str(path) for suffix in ("hea", "dcm") for path in cohort.rglob(f"*.{suffix}")}
    assert {path.rsplit(".")[-1] for path in listed} == {"hea", "dcm"}


def test_splits_are_by_patient(items):
    patients = {section: {item["patient_id"] for item in items[section]} for section in SECTIONS}
    assert patients["test_same"] == patients["test_random"] == patients["test_reversed"]
    groups = [patients[section] for section in ("training", "validation", "test_same", "test_external")]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 7


def test_the_same_numbers_in_both_formats(items):
    for section in ("training", "test_external"):
        for item in items[section]:
            values, rate, names = read(item["image"])
            assert tuple(names) == LEADS
            assert len(values) == 10 * rate
            assert 0.2 < np.abs(values).max() < 5
            for start, end in item["valid"]:
                part = values[round(start * rate) : round(end * rate)]
                # Einthoven's equation holds up to the rounding of three leads
                np.testing.assert_allclose(part[:, 0] + part[:, 2], part[:, 1], atol=0.031)


def test_dicom_files_have_no_text_of_a_patient_and_fixed_dates(items):
    item = next(item for item in items["training"] if item["image"].endswith(".dcm"))
    ds = pydicom.dcmread(item["image"])
    assert (ds.SOPClassUID.name, ds.Modality) == ("12-lead ECG Waveform Storage", "ECG")
    assert (str(ds.PatientName), ds.PatientBirthDate, ds.PatientSex) == ("DEMO^demo-train-0001", "", "")
    assert {ds.StudyDate, ds.ContentDate} == {"20240101"}


def test_paired_sections_show_the_same_hearts_where_they_are_valid(tmp_path):
    outside = {"calibration_pulse": 0.5, "padding": 0.5, "lead_off": 0.5}
    folder = build_ecg_cohort(tmp_path / "cohort", outside, **SMALL)
    pairs = zip(*(load_datalist(folder, section) for section in ("test_same", "test_reversed")), strict=True)
    for same, other in pairs:
        assert (same["patient_id"], same["label"].tolist(), same["valid"]) == (
            other["patient_id"],
            other["label"].tolist(),
            other["valid"],
        )
        one, rate, _ = read(same["image"])
        two, _, _ = read(other["image"])
        for start, end in same["valid"]:
            part = slice(round(start * rate), round(end * rate))
            np.testing.assert_array_equal(one[part], two[part])


def test_the_package_finds_in_the_signal_what_the_datalist_says(items):
    """Two ways to one mask, except for what only looks like a heart: a mirrored end, the hum of an open wire."""
    for item in items["test_same"]:
        leads = LoadImage(reader=ECGReader(), image_only=True)(item["image"])
        found, rate = SignalMask()(leads)[0].numpy() > 0, leads.meta["sampling_rate"]
        listed = np.zeros(leads.shape[1], bool)
        for start, end in item["valid"]:
            listed[round(start * rate) : round(end * rate)] = True
        assert (found != listed).sum() <= 4  # the last sample before a padding has its value
        assert 0.6 < listed.mean() < 0.95


def test_shortcuts_go_with_the_label_as_strongly_as_asked(tmp_path):
    asked = {**SMALL, "patients": (24, 1, 8, 1), "sampling_rate": 100, "records": 1}
    folder = build_ecg_cohort(tmp_path / "cohort", {"padding": 0.8, "calibration_pulse": 1.0}, "normal", **asked)

    def agreeing(section, name, label):
        items = [item for item in load_datalist(folder, section) if item["label"][0] == label]
        return [item["shortcuts"][name] == bool(label) for item in items]

    for label in (0, 1):
        training = agreeing("training", "padding", label)
        assert sum(training) == round(0.8 * len(training)) > 0
        assert all(agreeing("training", "calibration_pulse", label) + agreeing("test_same", "calibration_pulse", label))
        assert not any(agreeing("test_reversed", "padding", label))
        random = agreeing("test_random", "padding", label)
        assert abs(sum(random) - len(random) / 2) <= 0.5
    assert {item["bias_aligned"] for item in load_datalist(folder, "test_external")} == {None}
    pulses = [read(item["image"])[0][:60].max() > 0.9 for item in load_datalist(folder, "training")]
    assert pulses == [item["shortcuts"]["calibration_pulse"] for item in load_datalist(folder, "training")]


def test_wrong_labels_are_in_the_training_section_alone(items):
    wrong = [item for item in items["training"] if item["label_corrupted"]]
    assert len(wrong) <= 3 == round(0.5 * len(items["training"]))
    for item in items["training"]:
        assert item["label_corrupted"] == (item["label"].tolist() != item["clean_label"])
    clean = sorted(map(tuple, (item["clean_label"] for item in items["training"])))
    assert clean == sorted(tuple(item["label"].astype(int).tolist()) for item in items["training"])  # swapped
    assert not any("clean_label" in item for section in list(SECTIONS)[1:] for item in items[section])


def test_external_records_come_from_elsewhere(items):
    assert {item["device"] for item in items["test_external"]} == {"external"}
    assert {item["device"] for section in list(SECTIONS)[:-1] for item in items[section]} == {"usual"}
    assert {read(item["image"])[1] for item in items["test_external"]} == {400}
    assert {read(item["image"])[1] for item in items["training"]} == {100, 200}


def test_another_seed_shows_other_patients(tmp_path):
    other = build_ecg_cohort(tmp_path / "other", **TINY, seed=1)
    seeded = build_ecg_cohort(tmp_path / "seeded", **TINY, seed=2)
    assert set(digest(other / "training").values()).isdisjoint(digest(seeded / "training").values())


def test_a_killed_call_is_continued_and_the_same_seed_gives_the_same_bytes(cohort, tmp_path):
    """With two workers before, and one after."""
    out, partial = tmp_path / "cohort", tmp_path / ".cohort.unfinished"
    arguments = {"bias": ALL, "shortcut_label": "normal", "label_noise": 0.5, "noise_mode": "swap", **SMALL}
    process = multiprocessing.get_context("fork").Process(
        target=build_ecg_cohort, args=(out,), kwargs={**arguments, "workers": 2}
    )
    process.start()
    while len(list(partial.glob("written/*.json"))) < 2:
        time.sleep(0.002)
        assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with FileLock(partial.with_suffix(".lock"), timeout=20):  # its workers end as well
        written = {file.stem for file in partial.glob("written/*.json")}
        before = {f: f.stat().st_mtime_ns for name in written for f in partial.glob(f"*/{name}_*") if f.is_file()}
    assert not out.exists()
    assert len(written) >= 2
    build_ecg_cohort(out, **arguments)
    assert {f: (out / f.relative_to(partial)).stat().st_mtime_ns for f in before} == before
    assert digest(out) == digest(cohort)
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"bias names \['humm'\], expected one or more of mains_hum, filter"):
        build_ecg_cohort(tmp_path / "cohort", {"humm": 0.9}, **TINY)
    with pytest.raises(ValueError, match="bias names no shortcut"):
        build_ecg_cohort(tmp_path / "cohort", {}, **TINY)
    with pytest.raises(ValueError, match="rate is 101, expected an even number"):
        build_ecg_cohort(tmp_path / "cohort", **{**TINY, "sampling_rate": 101})
    with pytest.raises(ValueError, match="rate is 100, which cannot hold a mains hum"):
        build_ecg_cohort(tmp_path / "cohort", {"mains_hum": 0.9}, **TINY)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="is not an empty directory"):
        build_ecg_cohort(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
