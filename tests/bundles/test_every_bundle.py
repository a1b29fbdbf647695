# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What every bundle that classifies does, by the commands of its README and at a reduced size."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_debias.data import load_datalist
from tests.bundles.classifiers import CLASSIFIERS, SMALL_BUNDLES
from tests.bundles.small_bundle import configs

# every overlay is in one of them; all pairs are tried on the echo bundle
OVERLAYS = (
    ("backmix", "isnet", "isnet_lds", "spectral_decoupling"),
    ("wbackmix", "isnet", "isnet_paper", "mixup"),
    ("background_consistency", "few_masks"),
    ("manifold_mixup", "select_by_swap"),
    ("flow_mixup", "label_noise"),
)


# the workflow below the named parts is equal in all bundles (test_same_workflow.py): what hangs on it alone is tried on
# one of them, and what hangs on the kind of images and networks on two; those of the echo bundle have more tests
ALL = pytest.mark.parametrize("bundle", SMALL_BUNDLES.values(), ids=SMALL_BUNDLES)
TWO = pytest.mark.parametrize(
    "bundle", [SMALL_BUNDLES[name] for name in ("chest_xray_covid", "ecg")], ids=["cxr", "ecg"]
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_is_a_small_one_of_every_bundle():
    assert SMALL_BUNDLES.keys() == CLASSIFIERS.keys()


@ALL
def test_training_evaluation_and_inference_need_no_further_words(bundle, root_of):
    root = root_of(bundle)
    assert "nvImageCodec" not in (root / "printed.txt").read_text()  # of one of MONAI's readers; nobody asked for it
    names = json.loads((bundle.folder / "configs" / "train.json").read_text())["class_names"]
    results = json.loads((root / "eval" / "baseline" / "metrics.json").read_text())
    assert list(results) == list(bundle.splits)
    for split, result in results.items():
        assert result["samples"] == len(load_datalist(root / "data" / bundle.demo, split))
        for label in result["labels"].values():
            value, low, high = label["metrics"]["roc_auc"]
            assert value is None or 0 <= low <= value <= high <= 1  # a small split may lack a label
        assert 0 <= result["metrics"]["f1_macro"][0] <= 1
    rows = read(root / "predictions" / "baseline" / "predictions.csv")
    assert rows
    for row in rows:
        assert Path(row["file"]).is_relative_to(root / "data" / bundle.demo)
        probabilities = [float(row[f"p_{name}"]) for name in names]
        decided = {name for name in row["predicted"].split(";") if name}
        assert decided <= set(names)
        if not (root / "eval" / "baseline" / "thresholds.json").exists():
            assert decided == {names[probabilities.index(max(probabilities))]}


@ALL
def test_a_file_gets_the_prediction_that_it_gets_in_its_folder_and_a_picture(bundle, root_of, tmp_path):
    root = root_of(bundle)
    row = read(root / "predictions" / "baseline" / "predictions.csv")[1]
    thresholds = root / "eval" / "baseline" / "thresholds.json"
    options = ["--thresholds", thresholds] if thresholds.exists() else []
    bundle.infer(root / "models" / "baseline", Path(row["file"]), tmp_path, "--heatmaps", "True", *options)
    (single,) = read(tmp_path / "predictions.csv")
    assert (single["file"], single["predicted"]) == (row["file"], row["predicted"])
    for column in (column for column in row if column.startswith("p_")):
        assert float(single[column]) == pytest.approx(float(row[column]), abs=1e-5)
    assert (tmp_path / single["heatmap"]).stat().st_size > 5000


@pytest.mark.parametrize("names", [("train", "evaluate"), ("inference",)], ids="-".join)
def test_a_missing_model_is_told_with_the_command_that_makes_it(names, cohort_of, tmp_path):
    bundle = SMALL_BUNDLES["ecg"]
    shutil.copytree(cohort_of(bundle), tmp_path / "data" / bundle.demo)
    output = bundle.run("run", "--config_file", configs(*names), "--bundle_root", tmp_path, *bundle.size, fails=True)
    assert str(tmp_path / "models" / "baseline" / "model.pt") in output
    assert "python -m monai.bundle run --config_file configs/train.json" in output


@TWO
@pytest.mark.parametrize("names", OVERLAYS, ids="-".join)
def test_every_overlay_trains(names, bundle, cohort_of, tmp_path):
    data = cohort_of(bundle)
    options = (
        {"max_epochs": 1, "requested_mask_fraction": 0.5} if "train#items" in overlays(names) else {"max_epochs": 1}
    )
    workflow = bundle.workflow(tmp_path, data, *names, **bundle.tiny, **options)
    workflow.run()
    state = workflow.parser.get_parsed_content("train#trainer").state
    assert 0 < state.output[0]["loss"] < 100
    assert torch.load(tmp_path / "model.pt", weights_only=True)
    if "isnet" in names:  # 0 where the background is 0, as in a padded ECG
        assert state.metrics["background_loss"] >= 0
        assert state.metrics["relevance_weight"] >= 0


def test_captured_steps_run_eagerly_on_a_cpu_which_is_said_once(cohort_of, tmp_path, capsys):
    bundle, losses = SMALL_BUNDLES["chest_xray_covid"], []
    for capture in (False, True):
        options = {**bundle.tiny, "max_epochs": 1, "capture": capture}
        workflow = bundle.workflow(tmp_path / str(capture), cohort_of(bundle), "isnet", **options)
        workflow.run()
        losses.append(workflow.parser.get_parsed_content("train#trainer").state.output[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert capsys.readouterr().out.count("steps are not captured, but run eagerly: the device is cpu") == 1


def overlays(names: tuple[str, ...]) -> set[str]:
    """The entries of some overlays."""
    return {key for name in names for key in json.loads((CLASSIFIERS["echo_view"] / f"{name}.json").read_text())}


@TWO
def test_two_processes_train_one_model(bundle, cohort_of, tmp_path):
    tiny = [word for name, value in bundle.tiny.items() for word in (f"--{name}", str(value))]
    files = configs("train", "backmix", "multi_gpu_train")
    where = ["--dataset_dir", cohort_of(bundle), "--ckpt_dir", tmp_path, "--output_dir", tmp_path]
    bundle.run_two("run", "--config_file", files, *where, *bundle.small, "--batch_size", "4", *tiny, folder=tmp_path)
    names = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in names)


@ALL
def test_no_property_is_missing(bundle, root_of):
    root = root_of(bundle)
    for name, kind in (("train", "train"), ("inference", "infer")):
        folder = CLASSIFIERS[bundle.name]
        options = {"bundle_root": str(root), "batch_size": 8} if kind == "train" else {"bundle_root": str(root)}
        workflow = ConfigWorkflow(
            str(folder / f"{name}.json"),
            str(folder / "metadata.json"),
            workflow_type=kind,
            logging_file=None,
            **options,
        )
        workflow.initialize()
        assert workflow.check_properties() == []


@ALL
def test_metadata_network_and_export(bundle, root_of, tmp_path):
    root = root_of(bundle)
    schema = "docs/metadata_schema.json"
    bundle.run("verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", schema)
    meta = json.loads((bundle.folder / "configs" / "metadata.json").read_text())
    image = meta["network_data_format"]["inputs"]["image"]
    shape = [1, image["num_channels"], *image["spatial_shape"]]
    common = ["--net_id", "network_def", "--meta_file", "configs/metadata.json", "--config_file", configs("inference")]
    assert "verified" in bundle.run("verify_net_in_out", *common)
    exported, model = tmp_path / "model.ts", root / "models" / "baseline" / "model.pt"
    bundle.run("ckpt_export", *common, "--filepath", exported, "--ckpt_file", model, "--input_shape", str(shape))
    workflow = ConfigWorkflow(
        str(CLASSIFIERS[bundle.name] / "inference.json"), workflow_type="infer", logging_file=None
    )
    workflow.parser["bundle_root"] = str(root)
    workflow.initialize()
    network = workflow.parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(model, weights_only=True))
    x = torch.rand(2, *shape[1:], generator=torch.Generator().manual_seed(0))
    assert torch.allclose(torch.jit.load(exported).eval()(x), network(x), atol=1e-5)
