# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The echo bundle on datalists that name mask files: for all items, for some, or for none."""

from __future__ import annotations

import json
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import build_tmed2_datalist
from monai_debias.apps.ultrasound.views import ECHO_VIEWS
from monai_debias.data import load_datalist

CLIP_FILE = str(get_testdata_file("examples_ybr_color.dcm"))
CONFIGS = Path(__file__).resolve().parents[2] / "bundles" / "echo_view" / "configs"
SMALL = {
    "max_epochs": 1,
    "batch_size": 4,
    "image_size": [32, 32],
    "show_progress": False,
    "network_def#layers": [1, 1, 1, 1],
    "network_def#block_inplanes": [8, 8, 8, 8],
}
PLAIN, BACKMIX, ISNET = ["train"], ["train", "backmix"], ["train", "isnet"]
FEW_MASKS = (["train", "wbackmix"], ["train", "isnet", "few_masks"])

pytestmark = [
    pytest.mark.filterwarnings("ignore:the ultrasound sector is a guess"),
    pytest.mark.filterwarnings("ignore:.*is taken as the patient"),
]


@pytest.fixture(name="tmed2")
def fixture_tmed2(tmp_path) -> Path:
    """Four patients, a still and a mask of each view, as ``datalist tmed2`` lists them; the masks are half a sector."""
    rows, columns = np.mgrid[:96, :128]
    depth, angle = np.hypot(rows - 8, columns - 64), np.arctan2(columns - 64, rows - 8)
    sector = (depth > 4) & (depth < 84) & (abs(angle) < 0.7)
    rng = np.random.default_rng(0)
    for split, patients in {"train": (0, 1), "val": (2,), "test": (3, 4)}.items():
        for part in ("images", "masks"):
            (tmp_path / part / split).mkdir(parents=True)
        for patient in patients:
            for view in ECHO_VIEWS:
                still = np.where(sector, rng.rayleigh(40, sector.shape), 0).clip(0, 255).astype(np.uint8)
                np.save(tmp_path / "images" / split / f"{patient}_{view}.npy", still)
                np.save(
                    tmp_path / "masks" / split / f"{patient}_{view}.npy", (sector & (columns < 64)).astype(np.uint8)
                )
    build_tmed2_datalist(str(tmp_path / "images"), str(tmp_path / "masks"))
    return tmp_path


def edit(folder: Path, change: Any) -> None:
    """Change each item of the datalist: ``change(section, number, item)``."""
    file = folder / "datalist.json"
    content = json.loads(file.read_text())
    for section in ("training", "validation", "test"):
        for number, item in enumerate(content[section]):
            change(section, number, item)
    file.write_text(json.dumps(content))


def run(folder: Path, names: list[str], **options: Any) -> ConfigWorkflow:
    """Run configs of the bundle in this process."""
    files = [str(CONFIGS / f"{name}.json") for name in names]
    out = folder / "-".join(names)
    places = {"dataset_dir": str(folder), "ckpt_dir": str(out), "output_dir": str(out)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="parsing config_file")
        workflow = ConfigWorkflow(files, workflow_type="train", logging_file=False, **{**places, **SMALL, **options})
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def trained(folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """Train; the cached samples."""
    workflow = run(folder, names)
    assert torch.load(folder / "-".join(names) / "model.pt", weights_only=True)["fc.weight"].isfinite().all()
    return samples_of(workflow, "train#cached_dataset")


def samples_of(workflow: ConfigWorkflow, dataset: str) -> list[dict[str, Any]]:
    return list(workflow.parser.get_parsed_content(dataset))


def only_training(section: str, number: int, item: dict) -> None:
    if section != "training":
        del item["mask"]


def some(section: str, number: int, item: dict) -> None:
    """Every second item has a mask, of the others half have none and half a null; and a note, of any kind, for some."""
    if number % 2:
        item["mask"] = None
    if number % 4 == 1:
        del item["mask"]
    item.update([{"note": "cropped"}, {"note": None}, {}, {"note": 7}][number % 4])


def none(section: str, number: int, item: dict) -> None:
    del item["mask"]


@pytest.mark.parametrize(
    ("masks", "methods"),
    [(None, [BACKMIX]), (only_training, [ISNET]), (some, [BACKMIX, ISNET, *FEW_MASKS]), (none, [ISNET, FEW_MASKS[0]])],
    ids=["all", "training", "some", "none"],
)
def test_wherever_there_are_masks_all_train_and_validate(masks, methods, tmed2):
    if masks is not None:
        edit(tmed2, masks)
    has_file = ["mask" in item for item in load_datalist(tmed2, "training")]
    for names in methods:
        samples = trained(tmed2, names)
        if names in FEW_MASKS:
            assert 0 < sum("mask" in sample for sample in samples) < 8
        else:  # those of the files are the left half, those found are whole
            assert [bool(sample["mask"][..., 17:].any()) for sample in samples] == [not has for has in has_file]


def test_a_plain_training_an_evaluation_and_an_inference_read_no_mask(tmed2):
    edit(tmed2, some)
    assert not any("mask" in sample for sample in trained(tmed2, PLAIN))
    checkpoint = str(tmed2 / "train" / "model.pt")
    run(tmed2, ["train", "evaluate"], checkpoint=checkpoint, n_resamples=5)
    assert json.loads((tmed2 / "train-evaluate" / "metrics.json").read_text())["test"]["samples"] == 8
    infer = {"dataset_dir": str(tmed2 / "images" / "test"), "checkpoint": checkpoint}
    run(tmed2, ["inference"], **infer)
    assert len((tmed2 / "inference" / "predictions.csv").read_text().splitlines()) == 9


def test_without_a_search_for_sectors_only_the_items_with_masks_are_treated(tmed2):
    edit(tmed2, some)
    workflow = run(tmed2, BACKMIX, find_sectors=False)
    assert ["mask" in s for s in samples_of(workflow, "train#cached_dataset")] == [True, False] * 4
    assert len(samples_of(workflow, "validate#masked_dataset")) == 2
    run(tmed2, ISNET, find_sectors=False)
    workflow = run(tmed2, ["train", "wbackmix"], find_sectors=False)
    flags = [s["use_mask"] for s in samples_of(workflow, "train#cached_dataset")]
    assert 0 < sum(flags) < 8
    assert ["mask" in s for s in samples_of(workflow, "train#cached_dataset")] == flags


@pytest.mark.parametrize(
    ("names", "options", "chosen_by"),
    [
        (["train"], {}, "val_accuracy"),
        (["train", "mixup"], {}, "val_accuracy"),
        (["train", "mixup", "select_by_swap"], {}, "consistent_val_accuracy"),
        (["train", "background_consistency"], {}, "consistent_val_accuracy"),
        (["train", "isnet"], {"select_by_swap": False}, "val_accuracy"),
        (["train", "isnet"], {"find_sectors": False}, "val_accuracy"),
    ],
    ids=["plain", "no masks", "asked for", "masks", "switched off", "masks of the training alone"],
)
def test_the_epoch_is_chosen_by_swap_consistency_where_there_are_masks(names, options, chosen_by, tmed2):
    edit(tmed2, only_training)
    workflow = run(tmed2, names, **options)
    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    assert evaluator.state.key_metric_name == chosen_by
    swapped = chosen_by == "consistent_val_accuracy"
    assert ("val_swap_consistency" in evaluator.state.metrics) == swapped
    masked = workflow.parser.get_parsed_content("validate#masked_dataset")
    assert len(masked) == (4 if swapped else 0)  # nothing is read in vain


@pytest.mark.parametrize("names", [ISNET, ["train", "mixup", "select_by_swap"]], ids="-".join)
def test_an_evaluation_with_the_overlays_of_the_training_judges_the_test_alone(names, tmed2):
    """And not by the masks of the validation data, which it does not even read."""
    edit(tmed2, only_training)
    run(tmed2, names)
    checkpoint = str(tmed2 / "-".join(names) / "model.pt")
    workflow = run(tmed2, [*names, "evaluate"], checkpoint=checkpoint, n_resamples=5)
    metrics = workflow.parser.get_parsed_content("validate#evaluator").state.metrics
    assert list(metrics) == ["val_accuracy"]
    assert len(workflow.parser.get_parsed_content("validate#masked_dataset")) == 0


def test_clips_whose_sector_is_found_and_stills_with_a_mask_are_one_data_set(tmed2):
    def one_clip(section: str, number: int, item: dict) -> None:
        if number == 2:
            item["image"] = CLIP_FILE
            del item["mask"]

    edit(tmed2, one_clip)
    trained(tmed2, ISNET)
    workflow = run(tmed2, BACKMIX)
    assert (tmed2 / "-".join(BACKMIX) / "model.pt").exists()
    items = load_datalist(tmed2, "validation")
    for item, sample in zip(items, samples_of(workflow, "validate#masked_dataset"), strict=True):
        assert sample["mask"].meta["filename_or_obj"] == item.get("mask", item["image"])
        assert len(sample["mask"].meta["spatial_shape"]) == 2
        assert torch.equal(sample["mask"].affine, sample["image"].affine)


def refusal(folder: Path, names: list[str]) -> str:
    with pytest.raises(RuntimeError, match="Failed to instantiate") as caught:
        run(folder, names)
    return "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda mask: mask.T, r"(1, 128, 96)"),
        (lambda mask: 0 * mask, "is 0 everywhere"),
        (lambda mask: 100 * mask, "has 2 values (0, 100), expected 0 and 1 or 0 and 255"),
    ],
)
def test_a_bad_mask_stops_a_training_with_its_file_and_the_place_in_the_datalist(spoil, message, tmed2):
    item = load_datalist(tmed2, "training")[5]
    np.save(item["mask"], spoil(np.load(item["mask"])))
    text = refusal(tmed2, ["train", "backmix"])
    assert message in text
    assert f"the mask ({item['mask']}) of item training 5 " in text
    if "128, 96" in message:
        assert f"its image ({item['image']}) has (1, 96, 128)" in text
    run(tmed2, PLAIN)  # needs no mask, and opens none


def test_an_image_in_which_no_sector_is_found_is_named(tmed2):
    item = load_datalist(tmed2, "training")[3]
    edit(tmed2, none)
    np.save(item["image"], np.full((96, 128), 7, np.uint8))
    assert f"check the file and the transforms before this one ({item['image']})" in refusal(tmed2, BACKMIX)
    run(tmed2, PLAIN)


def test_an_inverted_mask_gets_a_warning_that_names_it(tmed2):
    item = load_datalist(tmed2, "training")[5]
    path = Path(item["mask"]).with_suffix(".png")
    Image.fromarray(255 * (1 - np.load(item["mask"]))).save(path)
    edit(tmed2, lambda section, n, item: item.update(mask=str(path)) if (section, n) == ("training", 5) else None)
    with pytest.warns(UserWarning, match=rf"the mask \({path}\) of item training 5 covers more of .* is it inverted"):
        run(tmed2, ["train", "backmix"])


def test_an_isnet_without_any_mask_is_not_trained_as_a_plain_network(tmed2):
    edit(tmed2, none)
    with pytest.raises(RuntimeError) as error:
        run(tmed2, ISNET, find_sectors=False)
    assert "none of the images of epoch 1 has a mask" in str(error.value.__cause__ or error.value)
