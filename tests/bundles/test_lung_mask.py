# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle that finds lungs, as a user runs it: trained, evaluated by split, and used on a folder of films."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.transforms import Compose

from monai_debias.apps.radiography.cohorts.build import build_chest_datalist
from monai_debias.apps.radiography.lung_masks.finder import DEMO_WEIGHTS, LungFinder
from monai_debias.apps.radiography.lung_masks.masked_films import load_masked_films
from monai_debias.apps.radiography.lung_masks.network import lung_network, prepare_film
from monai_debias.data import load_datalist
from monai_debias.demo import build_cxr_cohort
from tests import processes
from tests.apps.radiography.cohorts import layouts

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "lung_mask"
SPLITS = ["test_same", "test_random", "test_reversed", "test_external"]


def run(folder: Path, *arguments: object, fails: bool = False) -> str:
    """Run ``python -m monai.bundle`` in the bundle's folder; returns what it printed."""
    log = folder / "output.txt"
    code = processes.run(["monai.bundle", *arguments], BUNDLE, log)
    output = log.read_text(encoding="utf-8", errors="replace")
    assert (code != 0) == fails, output[-6000:]
    return output


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "cohort"
    return build_cxr_cohort(folder, "tb", patients=(2, 1, 1, 1), size=64, workers=1, progress=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, films) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    places = ["--dataset_dir", films, "--ckpt_dir", folder, "--output_dir", folder]
    small = ["--max_epochs", "1", "--batch_size", "2", "--image_size", "[32,32]"]
    run(folder, "run", "--config_file", "configs/train.json", *places, *small)
    return folder


def test_evaluate_reports_every_split_and_refuses_another_size(trained, films, tmp_path):
    files = "['configs/train.json','configs/evaluate.json']"
    places = ["--dataset_dir", films, "--ckpt_dir", trained, "--output_dir", tmp_path / "eval"]
    run(tmp_path, "run", "--config_file", files, *places, "--image_size", "[32,32]")
    results = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert list(results) == SPLITS
    assert all(result["films"] == 2 and 0 <= result["lowest"] <= result["mean"] <= 1 for result in results.values())
    output = run(tmp_path, "run", "--config_file", files, *places, "--overwrite", "True", fails=True)
    assert "image_size" in output
    assert "[32, 32]" in output


def test_the_command_for_masks_takes_the_trained_weights_at_their_size(trained, films):
    film = LungFinder(trained / "model.pt").load(Path(load_datalist(films, "training")[0]["image"]))
    try:
        assert LungFinder(trained / "model.pt").find(film).mask.shape == (64, 64)
    except ValueError as error:  # after one epoch it may find nothing
        assert str(error) == "no lungs were found."  # noqa: PT017


def test_inference_writes_masks_of_a_folder(films, tmp_path):
    source = films / "test_external"
    run(
        tmp_path,
        *("run", "--config_file", "configs/inference.json"),
        *("--dataset_dir", source, "--output_dir", tmp_path / "masks", "--checkpoint", DEMO_WEIGHTS, "--workers", "1"),
    )
    names = {path.name for path in (tmp_path / "masks" / "masks").iterdir()}
    assert names == {f"{path.name}.png" for path in source.iterdir()}


def test_training_sees_films_as_the_finder_does(films):
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    parser["dataset_dir"] = str(films)
    steps = [parser.get_parsed_content(name) for name in ("load_transforms", "normalize_transforms")]
    sample = Compose([*steps[0], *steps[1]])(load_datalist(films, "training")[0])
    film = LungFinder().load(Path(load_datalist(films, "training")[0]["image"]))
    assert torch.equal(sample["image"].as_tensor(), prepare_film(160)(film).as_tensor())
    assert sample["label"].unique().tolist() == [0, 1]


def test_a_public_cohort_with_masks_trains_by_the_same_command(tmp_path):
    """Montgomery, whose ten films have a mask but for one that lacks a lung."""
    path = build_chest_datalist(
        "montgomery", layouts.montgomery(tmp_path), validation_fraction=0.25, test_fraction=0.25
    )
    options = {"dataset_dir": str(Path(path).parent), "ckpt_dir": str(tmp_path), "output_dir": str(tmp_path / "eval")}
    options |= {"batch_size": 1, "max_epochs": 1, "image_size": [32, 32], "show_progress": False}
    for names in (["train"], ["train", "evaluate"]):
        files = [str(BUNDLE / "configs" / f"{name}.json") for name in names]
        workflow = ConfigWorkflow(files, workflow_type="train", logging_file=None, **options)
        workflow.initialize()
        workflow.run()
    assert list(json.loads((tmp_path / "eval" / "metrics.json").read_text())) == ["test"]


@pytest.mark.parametrize("section", ["training", "validation"])
def test_a_section_without_masks_is_named(films, tmp_path, section):
    content = json.loads((films / "datalist.json").read_text())
    for item in content["training"] + content["validation"]:
        item |= {key: str(films / item[key]) for key in ("image", "mask")}
    for item in content[section]:
        del item["mask"]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"no item of section '{section}' of .* has a mask"):
        load_masked_films(tmp_path, [section])
    others = {"training", "validation"} - {section}
    assert {item["split"] for item in load_masked_films(tmp_path, ["training", "validation"])} == others
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    parser["dataset_dir"], parser["show_progress"] = str(tmp_path), False
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content("train#trainer")
    assert f"no item of section '{section}'" in "".join(traceback.format_exception(error.value))


def test_metadata_and_network(tmp_path):
    schema = "docs/metadata_schema.json"
    run(tmp_path, "verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", schema)
    common = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json"]
    assert "verified" in run(tmp_path, "verify_net_in_out", "--net_id", "network_def", *common)
    assert 300_000 < sum(parameter.numel() for parameter in lung_network().parameters()) < 400_000
