# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the bundle of ECGs does beyond every other: records of several formats, leads, export to ONNX."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image

from monai_debias.apps.ecg import STANDARD_LEADS
from tests.apps.ecg.records import REAL, real_leads, write_wfdb
from tests.bundles.classifiers import SMALL_BUNDLES
from tests.bundles.small_bundle import configs

ECG = SMALL_BUNDLES["ecg"]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", name="trained")
def fixture_trained(root_of) -> Path:
    """What the plain training leaves."""
    return root_of(ECG) / "models" / "baseline"


@pytest.fixture(scope="module", name="thresholds")
def fixture_thresholds(root_of) -> Path:
    """What the evaluation has chosen."""
    return root_of(ECG) / "eval" / "baseline" / "thresholds.json"


def test_inference_on_a_folder_of_both_formats_and_what_else_lies_there(trained, thresholds, cohort_of, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(cohort_of(ECG) / "test_same", source)
    n_records = len([*source.glob("*.hea"), *source.glob("*.dcm")])
    shutil.copy(REAL, source / "real")
    write_wfdb(source, "long", real_leads())  # of another rate, and longer
    write_wfdb(source, "three", real_leads(2)[:3], STANDARD_LEADS[:3])
    cut = write_wfdb(source, "cut", real_leads(2)).with_suffix(".dat")
    cut.write_bytes(cut.read_bytes()[:-7])
    printed = ECG.infer(trained, source, out, "--thresholds", thresholds, "--heatmaps", "True")
    rows = {Path(row["file"]).name: row for row in read(out / "predictions.csv")}
    assert len(rows) == n_records + 2
    left_out = {Path(row["file"]).name: row["reason"] for row in read(out / "left_out.csv")}
    assert left_out.keys() == {"three.hea", "cut.hea"}
    assert left_out["three.hea"].startswith("lacks lead V1, V2, V3, V4, V5, V6")
    for name, row in rows.items():
        assert 0 <= float(row["relevance_outside"]) <= 1
        picture = np.asarray(Image.open(out / row["heatmap"]).convert("RGB"))
        assert picture.std() > 5
        assert Path(row["heatmap"]).name == f"{name}.png"
    assert f"{len(rows) + 2}/{len(rows) + 2}" in printed  # the progress, of all files
    shares = [float(rows[name]["relevance_outside"]) for name in ("real", "long.hea")]
    assert shares == [0, 0]  # the heart is everywhere in the real record
    text = (out / "predictions.json").read_text() + printed
    assert not [word for word in ("Anonymous", "Doe", "RITMO") if word in text]


def test_leads_in_another_order_than_in_the_training_are_refused(trained, thresholds, tmp_path):
    exchanged = ["II", "I", *STANDARD_LEADS[2:]]
    options = ["--leads", str(exchanged), "--thresholds", thresholds]
    printed = ECG.infer(trained, Path(REAL), tmp_path, *options, fails=True)
    assert f"- reading.leads: {list(STANDARD_LEADS)} in the training, {exchanged} here" in printed
    assert not list(tmp_path.glob("predictions.*"))


@pytest.mark.parametrize("method", ["mixup", "manifold_mixup", "flow_mixup"])
def test_missing_labels_with_wrong_ones_and_a_mixup(method, cohort_of, tmp_path):
    source = cohort_of(ECG)
    for record in (source / "training").iterdir():
        (tmp_path / "training").mkdir(exist_ok=True)
        (tmp_path / "training" / record.name).symlink_to(record)
    content = json.loads((source / "datalist.json").read_text())
    for item in content["training"]:
        item["label"][0] = None
    (tmp_path / "datalist.json").write_text(json.dumps({key: content[key] for key in ("labels", "training")}))
    options = {**ECG.tiny, "max_epochs": 1, "val_items": "$@listed_items", "label_noise_rate": 1.0}
    workflow = ECG.workflow(tmp_path, tmp_path, "label_noise", method, **options)
    workflow.run()
    assert {item["label"][0] for item in workflow.parser.get_parsed_content("train_items")} == {-1}
    assert np.isfinite(workflow.parser.get_parsed_content("train#trainer").state.output[0]["loss"])


def test_thresholds_are_those_of_every_label(thresholds):
    names = json.loads((ECG.folder / "configs" / "train.json").read_text())["class_names"]
    assert list(json.loads(thresholds.read_text())["thresholds"]) == names


def test_the_metadata_name_the_leads():
    meta = json.loads((ECG.folder / "configs" / "metadata.json").read_text())
    image = meta["network_data_format"]["inputs"]["image"]
    assert (image["type"], image["format"], image["modality"]) == ("series", "sequence", "EKG")
    assert [name.removeprefix("lead ") for name in image["channel_def"].values()] == list(STANDARD_LEADS)


def test_the_exported_network_says_the_same(trained, tmp_path):
    exported = tmp_path / "model.onnx"
    network = ["--net_id", "network_def", "--config_file", configs("inference"), "--meta_file", "configs/metadata.json"]
    weights = ["--ckpt_file", trained / "model.pt", "--input_shape", "[1,12,400]", "--filepath", exported]
    ECG.run("onnx_export", *network, *weights)
    workflow = ConfigWorkflow(
        str(ECG.folder / "configs" / "inference.json"),
        workflow_type="infer",
        logging_file=None,
        ckpt_dir=str(trained),
    )
    workflow.initialize()
    model = workflow.parser.get_parsed_content("network_def").eval()
    model.load_state_dict(torch.load(trained / "model.pt", weights_only=True), strict=False)
    x = torch.rand(1, 12, 400, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-4)
