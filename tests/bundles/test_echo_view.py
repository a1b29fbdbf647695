# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a trained network is used for: evaluation, inference and export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from matplotlib.image import imread
from monai.bundle import ConfigWorkflow
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import LoadUltrasound
from monai_debias.data import load_datalist
from tests.bundles.echo_view import BUNDLE, ECHO, SPLITS, VIEWS, configs, infer, last_terms, read, run, train


def test_evaluate_reports_every_split(root, cohort):
    folder = root / "eval" / "baseline"
    results = json.loads((folder / "metrics.json").read_text())
    assert list(results) == list(SPLITS)
    for result in results.values():
        assert result["samples"] == 12
        assert result["patients"] == 3
        assert set(result["metrics"]) >= {"accuracy", "balanced_accuracy", "f1_macro", "roc_auc"}
        assert set(result["labels"]) == set(VIEWS)
        assert all(0 <= low <= high <= 1 for _, low, high in result["metrics"].values())
    rows = read(folder / "predictions.csv")
    items = [item for split in results for item in load_datalist(cohort, split)]
    assert [cohort / row["file"] for row in rows] == [Path(item["image"]) for item in items]
    assert [row["label"] for row in rows] == [VIEWS[item["label"]] for item in items]
    for row in rows:
        assert sum(float(row[f"p_{view}"]) for view in ("PLAX", "PSAX", "A2C", "A4C")) == pytest.approx(1, abs=1e-5)
    assert (folder / "confusion_matrix.png").stat().st_size > 5000
    before = (folder / "metrics.json").read_text()
    again = run("run", "--config_file", configs("train", "evaluate"), "--bundle_root", root, *ECHO.size, fails=True)
    assert "or overwrite=True (in a bundle --overwrite True) to replace them" in again
    assert (folder / "metrics.json").read_text() == before


@pytest.mark.parametrize("names", [("train", "evaluate"), ("inference",)], ids="-".join)
def test_a_model_with_a_changed_byte_is_refused(names, trained, cohort, tmp_path):
    content = bytearray((trained / "model.pt").read_bytes())
    weight = torch.load(trained / "model.pt", weights_only=True)["fc.weight"]
    content[content.index(weight.numpy().tobytes())] ^= 1
    (tmp_path / "model.pt").write_bytes(content)
    arguments = ["--dataset_dir", cohort, "--ckpt_dir", tmp_path, "--output_dir", tmp_path, "--image_size", "[48,48]"]
    output = run("run", "--config_file", configs(*names), *arguments, fails=True)
    assert f"{tmp_path / 'model.pt'} is not a checkpoint, or is damaged: the checksum" in output
    assert not (tmp_path / "predictions.csv").exists()


@pytest.fixture(scope="module", name="isnet")
def fixture_isnet(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("isnet")
    train(folder, cohort, "isnet")
    return folder


def test_isnet_logs_its_terms_and_saves_its_state(isnet):
    terms = last_terms(isnet)
    assert terms["classification_loss"] > 0
    assert terms["background_loss"] > 0
    assert terms["gradient_norm"] > 0
    assert terms["relevance_weight"] == pytest.approx(0.2 * 2 / 3)  # in the last of three iterations
    state = torch.load(isnet / "last.pt", weights_only=True)
    assert [cuts.tolist() for cuts in state["loss"].values()] == [pytest.approx([1.0, 100.0])]


def test_isnet_leaves_a_plain_network(isnet, trained, cohort, tmp_path):
    weights, plain = (torch.load(folder / "model.pt", weights_only=True) for folder in (isnet, trained))
    assert {name: tensor.shape for name, tensor in weights.items()} == {n: t.shape for n, t in plain.items()}
    path = Path(load_datalist(cohort, "test_random")[0]["image"])
    infer(isnet, path, tmp_path / "one")
    assert [row["file"] for row in read(tmp_path / "one" / "predictions.csv")] == [str(path)]


def test_inference_on_a_folder_takes_each_file_and_names_no_patient(root, cohort):
    folder = root / "predictions" / "baseline"
    files = sorted((cohort / "test_random").glob("*.dcm"))
    assert [row["file"] for row in read(folder / "predictions.csv")] == [str(path) for path in files]
    header = dcmread(files[5], stop_before_pixels=True)
    written = (root / "printed.txt").read_text() + "".join(path.read_text() for path in folder.iterdir())
    assert str(header.PatientName) not in written


def test_inference_averages_the_frames_of_a_clip(root, trained, cohort):
    """A clip whose frames are all its middle frame is judged as the clip's middle frame, not as the clip."""
    path = load_datalist(cohort, "test_random")[0]["image"]
    whole = LoadUltrasound()(path)
    assert whole.shape[-1] == 4
    assert not torch.equal(whole[..., 0], whole[..., 2])
    workflow = ConfigWorkflow(
        str(BUNDLE / "configs" / "inference.json"), str(BUNDLE / "configs" / "metadata.json"), workflow_type="infer"
    )
    workflow.parser["image_size"] = [48, 48]
    workflow.parser["dataset_dir"] = path
    workflow.initialize()
    network = workflow.network_def.eval()
    network.load_state_dict(torch.load(trained / "model.pt", weights_only=True))
    clip = workflow.parser.get_parsed_content("preprocessing")({"image": path})["image"].as_tensor()
    with torch.no_grad():
        expected = network(clip.movedim(-1, 0)).softmax(1).mean(0)
    rows = json.loads((root / "predictions" / "baseline" / "predictions.json").read_text())
    (row,) = [row for row in rows if row["file"] == path]
    assert [row[f"p_{view}"] for view in ("PLAX", "PSAX", "A2C", "A4C")] == pytest.approx(expected.tolist(), abs=1e-5)


def test_another_use_than_that_of_the_training_is_refused(trained, cohort, tmp_path):
    output = infer(trained, cohort / "test_random", tmp_path, "--image_size", "[64,48]", fails=True)
    assert f"{trained / 'model.pt'} was trained otherwise than it is used here" in output
    assert "- image_size: [48, 48] in the training, [64, 48] here" in output
    assert "- preprocessing.1 Resized.resizer.spatial_size: [48, 48] in the training, [64, 48] here" in output
    assert '--image_size "[48, 48]"' in output
    assert not list(tmp_path.glob("predictions.*"))
    for names in (("train", "evaluate"), ("inference",)):
        files = [str(BUNDLE / "configs" / f"{name}.json") for name in names]
        options = {"dataset_dir": str(cohort), "image_size": [48, 48], "output_dir": str(tmp_path)}
        other = {"class_names": ["A2C", "A4C", "PLAX", "PSAX"], "checkpoint": str(trained / "model.pt")}
        workflow = ConfigWorkflow(files, workflow_type="infer", logging_file=None, **options, **other)
        workflow.initialize()
        loader = workflow.parser.get_parsed_content("validate#handlers#0" if "train" in names else "handlers#0")
        with pytest.raises(ValueError, match=r"class_names: \['PLAX', .* in the training, \['A2C', .* here"):
            loader(Engine(lambda engine, batch: None))


def test_heatmaps_of_clips_with_and_without_a_mask(trained, cohort, tmp_path):
    item = load_datalist(cohort, "validation")[0]
    name = Path(item["image"]).with_suffix("").name
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(item["image"], source / f"{name}.dcm")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(source / "black.png")  # in which nothing looks like a sector
    (tmp_path / "masks").mkdir()
    shutil.copy(item["mask"], tmp_path / "masks" / f"{name}{Path(item['mask']).suffix}")
    output = infer(trained, source, tmp_path / "out", "--masks", tmp_path / "masks")
    assert f"no mask for the image ({source / 'black.png'})" in output
    black, clip = read(tmp_path / "out" / "predictions.csv")
    assert clip["heatmap"] == f"heatmaps/{name}.dcm.png"
    assert 0 < float(clip["relevance_outside"]) < 1
    assert np.ptp(imread(tmp_path / "out" / clip["heatmap"])) > 0.5
    assert black["relevance_outside"] == ""
    assert float(black["p_PLAX"]) > 0


def test_inference_leaves_out_what_it_cannot_read_unless_it_is_strict(trained, cohort, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    files = sorted((cohort / "test_random").glob("*.dcm"))[:3]
    for name, file in zip(("a.dcm", "b.dcm", "e.dcm"), files, strict=True):
        shutil.copy(file, source / name)
    (source / "c.dcm").write_bytes(files[0].read_bytes()[:-2000])
    shutil.copy(get_testdata_file("reportsi.dcm"), source / "d.dcm")
    output = infer(trained, source, tmp_path / "out")
    assert "3 files are used; 2 left out (1 unreadable, 1 unrelated)" in output
    names = [Path(row["file"]).name for row in read(tmp_path / "out" / "predictions.csv")]
    assert names == ["a.dcm", "b.dcm", "e.dcm"]
    left_out = {Path(row["file"]).name: (row["kind"], row["reason"]) for row in read(tmp_path / "out" / "left_out.csv")}
    assert {name: kind for name, (kind, _) in left_out.items()} == {"c.dcm": "unreadable", "d.dcm": "unrelated"}
    assert "cut short" in left_out["c.dcm"][1]
    assert "modality SR" in left_out["d.dcm"][1]

    output = infer(trained, source, tmp_path / "strict", "--strict", "True", fails=True)
    assert "c.dcm: " in output
    assert [Path(row["file"]).name for row in read(tmp_path / "strict" / "predictions.csv")] == ["a.dcm", "b.dcm"]
    assert [Path(row["file"]).name for row in read(tmp_path / "strict" / "left_out.csv")] == ["c.dcm"]
