# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The echo demo cohort: real DICOM files, patient-level splits, and a cue that never touches the sector."""

from __future__ import annotations

import hashlib
import json
import resource

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage

from monai_debias.demo.echo.anatomy import VIEWS
from monai_debias.demo.echo.cohort import SECTIONS, build_echo_cohort
from monai_debias.demo.echo.dicom import write_echo_dicom
from monai_debias.demo.echo.overlay import draw_screen
from monai_debias.demo.echo.scanners import SCANNERS
from monai_debias.demo.echo.sector import ScanConverter, Sector

EXAMPLES = {
    build_echo_cohort: lambda folder: {
        "out": folder / "cohort",
        "patients": [1, 1, 1],
        "frames": 1,
        "workers": 1,
        "progress": False,
    }
}


FRAMES = 3


def build(out, **kwargs):
    settings = {"patients": (2, 1, 2), "frames": FRAMES, "workers": 1, "progress": False, **kwargs}
    return build_echo_cohort(out, **settings)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return build(tmp_path_factory.mktemp("echo") / "cohort")


@pytest.fixture(scope="module")
def datalist(cohort):
    return json.loads((cohort / "datalist.json").read_text(encoding="utf-8"))


def items_of(datalist):
    return [(section, item) for section in SECTIONS for item in datalist[section]]


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_datalist_describes_every_file(cohort, datalist):
    assert "No patient data" in datalist["description"]
    assert datalist["labels"] == {"0": "PLAX", "1": "PSAX", "2": "A2C", "3": "A4C"}
    assert [len(datalist[section]) for section in SECTIONS] == [8, 4, 8, 8, 8]
    listed = {item["image"] for _, item in items_of(datalist)}
    assert listed == {str(path.relative_to(cohort)) for path in cohort.rglob("*.dcm")}
    for _, item in items_of(datalist):
        assert (cohort / item["sector"]).is_file()
        assert item["bias_aligned"] == (item["overlay"] == VIEWS[item["label"]])


def test_splits_are_by_patient_and_each_patient_has_every_view(datalist):
    patients = {section: {item["patient_id"] for item in datalist[section]} for section in SECTIONS}
    assert patients["test_same"] == patients["test_random"] == patients["test_reversed"]
    groups = [patients["training"], patients["validation"], patients["test_same"]]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 5
    for section in SECTIONS:
        shown = sorted((item["patient_id"], item["label"]) for item in datalist[section])
        assert shown == [(patient, label) for patient in sorted(patients[section]) for label in range(4)]


def test_files_are_conformant_ultrasound_multiframe_dicom(cohort, datalist):
    uids = set()
    for _, item in items_of(datalist):
        ds = dcmread(cohort / item["image"])
        assert ds.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
        assert ds.file_meta.MediaStorageSOPClassUID == ds.SOPClassUID == UltrasoundMultiFrameImageStorage
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert ds.SOPInstanceUID.is_valid
        uids.add(ds.SOPInstanceUID)
        assert (ds.Modality, ds.BurnedInAnnotation, ds.LossyImageCompression) == ("US", "YES", "01")
        assert ds.PatientID == item["patient_id"]
        assert str(ds.PatientName).startswith("DEMO^")
        assert ds.Manufacturer.startswith("FICTITIOUS")
        assert float(ds.FrameTime) == 100.0
        assert ds.CineRate == 10
        assert ds.FrameIncrementPointer == 0x00181063
        assert int(ds.NumberOfFrames) == FRAMES
        expected = {1: ("MONOCHROME2", (FRAMES, 240, 320)), 3: ("YBR_FULL_422", (FRAMES, 240, 320, 3))}
        assert (ds.PhotometricInterpretation, ds.pixel_array.shape) == expected[ds.SamplesPerPixel]
        view = VIEWS[item["label"]]
        assert view not in str(ds), "the header gives the view away"
    assert len(uids) == len(items_of(datalist))


def test_regions_enclose_the_sector_tightly_with_its_scale(tmp_path):
    converter = ScanConverter(Sector(apex_row=20, radius=170, start=10))
    clip = np.zeros((2, 240, 320, 3), np.uint8)
    screen = draw_screen(16.0, 0.0, 70.0, 100.0, np.random.default_rng(0))
    for k, scanner in enumerate(SCANNERS):
        path = tmp_path / f"{k}.dcm"
        write_echo_dicom(path, clip, scanner, converter, screen, "demo-x", ["0", str(k)])
        ds = dcmread(path)
        assert ("SequenceOfUltrasoundRegions" in ds) == scanner.regions
        if not scanner.regions:
            continue
        region = ds.SequenceOfUltrasoundRegions[0]
        rows, columns = np.nonzero(converter.mask)
        assert (region.RegionLocationMinY0, region.RegionLocationMaxY1) == (rows.min(), rows.max())
        assert (region.RegionLocationMinX0, region.RegionLocationMaxX1) == (columns.min(), columns.max())
        assert region.PhysicalUnitsXDirection == region.PhysicalUnitsYDirection == 3
        assert region.PhysicalDeltaX == region.PhysicalDeltaY == pytest.approx(0.1)  # 16 cm over 160 pixels
    assert [scanner.regions for scanner in SCANNERS].count(False) == 1
    with pytest.raises(FileExistsError, match="is not overwritten"):
        write_echo_dicom(path, clip, scanner, converter, screen, "demo-x", ["0", "9"])
    with pytest.raises(ValueError, match="expected a uint8 clip"):
        write_echo_dicom(tmp_path / "new.dcm", clip[0], scanner, converter, screen, "demo-x", ["0", "9"])


def test_test_sections_differ_outside_the_sector_only(cohort, datalist):
    changed = 0
    for same, random, reversed_ in zip(
        *(datalist[f"test_{mode}"] for mode in ("same", "random", "reversed")), strict=True
    ):
        clips = [dcmread(cohort / item["image"]).pixel_array.astype(int) for item in (same, random, reversed_)]
        sector = np.asarray(Image.open(cohort / same["sector"])) > 0
        for clip, item in zip(clips[1:], (random, reversed_), strict=True):
            difference = np.abs(clip - clips[0])
            assert difference[:, sector].max() <= 2, "JPEG noise at most"
            assert (difference.max() > 100) == (item["overlay"] != same["overlay"])
            changed += item["overlay"] != same["overlay"]
    assert changed > 8


def test_clips_move_inside_the_sector(cohort, datalist):
    for item in datalist["training"]:
        clip = dcmread(cohort / item["image"]).pixel_array.astype(float)
        sector = np.asarray(Image.open(cohort / item["sector"])) > 0
        assert clip[:, sector].std(axis=0).mean() > 1
        assert 5 < clip[:, sector].mean() < 120


def test_nothing_but_the_cue_depends_on_the_view(cohort, datalist):
    by_patient = {}
    for _, item in items_of(datalist):
        ds = dcmread(cohort / item["image"], stop_before_pixels=True)
        by_patient.setdefault(item["patient_id"], set()).add((ds.Manufacturer, item["sector"]))
    assert all(len(settings) == 1 for settings in by_patient.values())


def test_same_seed_same_bytes_whatever_the_workers(cohort, tmp_path):
    first = digest(cohort)
    assert digest(build(tmp_path / "two_workers", workers=2)) == first
    other = digest(build(tmp_path / "other_seed", seed=1, patients=(1, 1, 1)))
    assert other.keys() < first.keys()
    assert all(other[name] != first[name] for name in other)


def test_an_empty_directory_is_used_and_a_full_one_refused(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    assert build(out, patients=(1, 1, 1), frames=1) == out
    before = digest(out)
    with pytest.raises(FileExistsError, match="nothing was written"):
        build(out)
    with pytest.raises(FileExistsError, match="not an empty directory"):
        build(out / "datalist.json")
    assert digest(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # masks fit, clips do not
    try:
        with pytest.raises(OSError, match="File too large"):
            build(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_progress_is_printed(tmp_path, capsys):
    build(tmp_path / "out", patients=(1, 1, 1), frames=1, progress=True)
    assert "3 of 3 patients" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bias": 0.24}, r"bias is 0\.24, expected a number in \[0\.25, 1\]"),
        ({"patients": (3, 0, 3)}, r"patients\[1\] is 0, expected an integer in \[1, inf\)"),
        ({"frames": 0}, "frames is 0"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []
