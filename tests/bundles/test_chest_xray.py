# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the bundles of chest radiographs have beside the common workflow: films in [0, 1], and no other files."""

from __future__ import annotations

import re
import shutil
import traceback
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import DenseNet121
from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.bundles.classifiers import CLASSIFIERS, SMALL_BUNDLES
from tests.bundles.test_every_bundle import read

BUNDLE = SMALL_BUNDLES["chest_xray_tb"]


@pytest.fixture(scope="module", name="films")
def fixture_films(cohort_of) -> Path:
    return cohort_of(BUNDLE)


def test_an_isnet_takes_the_zb_rule_and_every_input_is_within_its_range(films, tmp_path):
    parser = BUNDLE.workflow(tmp_path, films, "isnet", "backmix", **BUNDLE.tiny, max_epochs=1).parser
    inferer = parser.get_parsed_content("train#inferer")
    assert (inferer.rules["input_rule"], inferer.rules["input_range"]) == ("zb", (0, 1))
    parser["random_transforms#1#factors"] = 3.0  # far brighter than in a training
    for place in ("train#dataset", "validate#dataset"):
        images = torch.stack([sample["image"].as_tensor() for sample in parser.get_parsed_content(place)])
        assert images.dtype == torch.float32
        assert 0 <= images.min() < images.max() <= 1
    raw = torch.tensor([[[[-0.5, 0.5, 1.5]]]])
    assert parser.get_parsed_content("validate#normalize")(raw).flatten().tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("name", ["chest_xray_covid", "chest_xray_tb"])
def test_the_options_of_the_model_card_make_densenet121(name):
    card = (CLASSIFIERS[name].parent / "docs" / "README.md").read_text(encoding="utf-8")
    options = dict(re.findall(r'--(network_def#\w+) "?([\d,\[\]]+)', card))
    assert len(options) == 3
    parser = ConfigParser(ConfigParser.load_config_file(str(CLASSIFIERS[name] / "train.json")))
    for place, value in options.items():
        parser[place] = [int(number) for number in value.strip("[]").split(",")] if "[" in value else int(value)
    network = parser.get_parsed_content("network_def").state_dict()
    expected = DenseNet121(2, 1, len(parser["class_names"])).state_dict()
    assert {name: tensor.shape for name, tensor in network.items()} == {n: t.shape for n, t in expected.items()}


def test_what_is_no_frontal_chest_film_gets_no_prediction_and_the_reason_is_told(root_of, films, tmp_path):
    model = root_of(BUNDLE) / "models" / "baseline"
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    first, second = sorted((films / "test_external").glob("*.dcm"))[:2]
    shutil.copy(first, source / "a.dcm")
    for name, (element, value) in {"b": ("ViewPosition", "LL"), "c": ("BodyPartExamined", "KNEE")}.items():
        film = dcmread(second)
        setattr(film, element, value)
        film.save_as(source / f"{name}.dcm")
    (source / "d.dcm").write_bytes(second.read_bytes()[:-500])
    shutil.copy(get_testdata_file("CT_small.dcm"), source / "e.dcm")
    shutil.copy(second, source / "f.dcm")
    output = BUNDLE.infer(model, source, out)
    assert "2 files are used; 4 left out" in output
    assert [Path(row["file"]).name for row in read(out / "predictions.csv")] == ["a.dcm", "f.dcm"]
    left_out = {Path(row["file"]).name: row["reason"] for row in read(out / "left_out.csv")}
    assert "is a lateral film (ViewPosition" in left_out["b.dcm"]
    assert "shows KNEE" in left_out["c.dcm"]
    assert left_out.keys() == {"b.dcm", "c.dcm", "d.dcm", "e.dcm"}
    assert "CT" in left_out["e.dcm"]
    patient = str(dcmread(first, stop_before_pixels=True).PatientID)
    assert patient not in (out / "predictions.json").read_text().replace(str(source), "")
    strict = BUNDLE.infer(model, source, tmp_path / "strict", "--strict", "True", fails=True)
    assert f"{source / 'b.dcm'}" in strict


def test_a_lateral_film_ends_a_training_with_its_name(films, tmp_path):
    shutil.copytree(films, tmp_path / "films")
    path = sorted((tmp_path / "films" / "training").glob("*.dcm"))[3]
    film = dcmread(path)
    film.ViewPosition = "LL"
    film.save_as(path)
    with pytest.raises(RuntimeError) as caught:
        BUNDLE.workflow(tmp_path, tmp_path / "films", **BUNDLE.tiny, max_epochs=1).run()
    told = "".join(traceback.format_exception(caught.value))
    assert f"{path}: is a lateral film (ViewPosition" in told
