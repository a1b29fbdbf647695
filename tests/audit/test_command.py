# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import monai_debias.audit
from monai_debias.audit.command import audit_model
from tests.audit.subjects import CLASSES, LooksAt, write_bundle, write_data, write_published_bundle

SCHEMA = json.loads((Path(monai_debias.audit.__file__).parent / "schema.json").read_text())


@pytest.fixture(scope="module", name="places")
def fixture_places(tmp_path_factory):
    """A bundle that reads the mark, its data, and the results of its audit."""
    folder = tmp_path_factory.mktemp("audit")
    bundle, data = write_bundle(folder / "model_a", LooksAt()), write_data(folder / "data", 120)
    (data / "images" / "7.npy").write_bytes(b"damaged")
    with pytest.raises(SystemExit) as end:
        audit_model(str(bundle), str(data), str(folder / "out"))
    assert end.value.code == 3
    return bundle, data, folder / "out"


def test_numbers(places):
    found = json.loads((places[2] / "audit.json").read_text())
    jsonschema.validate(found, SCHEMA)
    assert found["attributes"] == ["scanner"]
    assert found["left_out"][0]["item"].endswith("images/7.npy")
    verdicts = {one["check"]: one["verdict"] for one in found["findings"] if one["level"] == "used"}
    assert verdicts["background"] == "found"
    assert found["findings"][-1]["level"] == "described"


def test_table(places):
    with open(places[2] / "images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 119
    assert rows[0]["file"].endswith("images/0.npy")
    changes = [float(row["background: background"]) for row in rows if row["background: background"]]
    background = json.loads((places[2] / "audit.json").read_text())["findings"]
    told = next(one["details"] for one in background if one["check"] == "background")
    assert np.mean(changes) == pytest.approx(told["mean fall of the probability of the true class"], abs=1e-5)


def test_the_page_needs_nothing_else_and_tells_no_patient(places):
    page = (places[2] / "audit.html").read_text(encoding="utf-8")
    assert "This network uses a shortcut: scanner, background" in page
    assert "The network uses the background" in page
    assert "Overlays that mend it: backmix" in page
    assert len(re.findall(r"<img src='data:image/png;base64,", page)) >= 4
    assert not re.findall(r"(?:src|href)='(?!data:)", page)
    assert "p1<" not in page


def test_it_goes_on_and_replaces_only_if_asked(places, capsys, tmp_path):
    bundle, data, out = places
    with pytest.raises(FileExistsError, match="pass --overwrite"):
        audit_model(str(bundle), str(data), str(out))
    before = {path: path.stat().st_mtime_ns for path in (out / "checks").iterdir()}
    with pytest.raises(SystemExit):
        audit_model(str(bundle), str(data), str(out), overwrite=True, hash_names=True)
    assert {path: path.stat().st_mtime_ns for path in (out / "checks").iterdir()} == before
    assert ".npy" not in (out / "images.csv").read_text() + (out / "audit.json").read_text()
    assert "The network uses the background: " in capsys.readouterr().out


def test_a_bundle_without_its_training_from_its_folder_to_the_page(places, tmp_path):
    bundle = write_published_bundle(tmp_path / "published", LooksAt())
    with pytest.raises(SystemExit):
        audit_model(str(bundle), str(places[1]), str(tmp_path / "out"), attributes="scanner")
    assert "The network uses the background" in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_read(places, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"results cannot be written there: .*file/out"):
        audit_model(str(places[0]), str(places[1]), str(tmp_path / "file" / "out"))


def test_a_network_that_reads_no_mark(places, tmp_path):
    bundle = write_bundle(tmp_path / "clean", LooksAt(corner=0.0))
    audit_model(str(bundle), str(places[1]), str(tmp_path / "out"), attributes="scanner")
    assert "No shortcut was found" in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")


def test_no_masks_are_written_where_nothing_was_found(places, tmp_path, capsys):
    bundle = write_bundle(tmp_path / "clean", LooksAt(corner=0.0))
    audit_model(str(bundle), str(places[1]), str(tmp_path / "out"), write_masks=True)
    assert "no stamp or patch was found" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="choose another folder for the masks"):
        audit_model(str(bundle), str(places[1]), str(places[1]), write_masks=True)
    assert not (tmp_path / "out" / "datalist.json").exists()


def test_classes_are_named_by_the_datalist_where_the_bundle_does_not(places, tmp_path):
    bundle = write_bundle(tmp_path / "model", LooksAt(corner=0.0))
    config = json.loads((bundle / "configs" / "train.json").read_text())
    del config["class_names"]
    (bundle / "configs" / "train.json").write_text(json.dumps(config))
    audit_model(str(bundle), str(places[1]), str(tmp_path / "out"), attributes=())
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["class_names"] == CLASSES


def test_images_of_one_patient_are_no_all_clear(places, tmp_path):
    data = write_data(tmp_path / "data", 20)
    datalist = data / "datalist.json"
    datalist.write_text(re.sub(r'"p\d+"', '"p0"', datalist.read_text()))
    with pytest.raises(ValueError, match=r"nothing could be tested for a shortcut: .*stamp: it takes 8 patients"):
        audit_model(str(places[0]), str(data), str(tmp_path / "out"))
    assert "Nothing could be tested" in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
