# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""All pairs of overlays, by themselves or in a triple: each part is at work, or an error says why not.

Images tell where they come from: the pixels in the middle, the region of interest, have the number of the sample, and
those around it that of the sample whose background it is.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils import set_determinism

from monai_debias.attached import attached
from monai_debias.losses import SampleWeightedLoss
from monai_debias.overlays import NAMES

CONFIGS = Path(__file__).resolve().parents[2] / "bundles" / "echo_view" / "configs"
STAGES = ("layer1", "layer2", "layer3", "layer4")
MIXUPS = ("mixup", "manifold_mixup", "flow_mixup")
TRIPLES = [
    ("backmix", "isnet", "spectral_decoupling"),
    ("wbackmix", "backmix", "isnet"),
    ("wbackmix", "isnet", "spectral_decoupling"),
    ("wbackmix", "isnet", "mixup"),
    ("wbackmix", "spectral_decoupling", "flow_mixup"),
    ("few_masks", "isnet", "isnet_lds"),
    ("isnet_lds", "isnet", "mixup"),
    ("isnet_paper", "isnet", "isnet_lds"),
    ("isnet_lds", "isnet", "flow_mixup"),
    ("backmix", "isnet", "isnet_lds"),
    ("isnet", "manifold_mixup", "spectral_decoupling"),
    ("isnet", "flow_mixup", "select_by_swap"),
    ("background_consistency", "wbackmix", "isnet"),
    ("background_consistency", "isnet", "spectral_decoupling"),
    ("background_consistency", "few_masks", "select_by_swap"),
    ("label_noise", "wbackmix", "flow_mixup"),
    ("background_blend", "wbackmix", "flow_mixup"),
]
SETTINGS = {
    "find_sectors": False,
    "is_main_process": False,
    "batch_size": 4,
    "image_size": [16, 16],
    "max_epochs": 1,
    "amp": False,
    "device": "$torch.device('cpu')",
    "show_progress": False,
    "normalize_transforms": [],
    "normalize_batch": None,
    "random_transforms": [],
    "train#dataloader#shuffle": False,
    "train#cached_dataset#num_workers": 1,
    "validate#dataset#num_workers": 1,
    "validate#masked_dataset#num_workers": 1,
    "network_def#layers": [1, 1, 1, 1],
    "network_def#block_inplanes": [4, 4, 4, 4],
    "network_def#conv1_t_size": 3,
}


@pytest.fixture(scope="module", name="cohort")
def fixture_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    sections: dict[str, list[dict]] = {"training": [], "validation": []}
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 1
    np.save(folder / "mask.npy", mask)
    for i in range(12):
        np.save(folder / f"{i}.npy", np.full((16, 16), 20 * (i + 1), np.uint8))
        item = {"image": f"{i}.npy", "mask": "mask.npy", "label": i % 4, "patient_id": str(i)}
        sections["training" if i < 8 else "validation"].append(item)
    labels = dict(enumerate(("PLAX", "PSAX", "A2C", "A4C")))
    (folder / "datalist.json").write_text(json.dumps({"labels": labels, **sections}))
    return folder


def merged(names: Sequence[str]) -> dict[str, Any]:
    """What a training with overlays is configured to."""
    return ConfigParser.load_config_files([str(CONFIGS / f"{name}.json") for name in ("train", *names)])


def in_any_order(config: dict[str, Any]) -> dict[str, Any]:
    """With the only list that overlays add to in the order of its names."""
    config["train"]["batch_keys"].sort()
    return config


class Training:
    """Two iterations with some overlays, and what happened in them."""

    def __init__(self, cohort: Path, folder: Path, names: Sequence[str]) -> None:
        self.parser = ConfigParser(merged(names))
        places = {"dataset_dir": str(cohort), "ckpt_dir": str(folder), "output_dir": str(folder)}
        for key, value in {**SETTINGS, **places}.items():
            self.parser[key] = value
        if "requested_mask_fraction" in self.parser:
            self.parser["requested_mask_fraction"] = 0.5
        set_determinism(0)
        try:
            self.parser.get_parsed_content("method")  # which a workflow asks for first
            self.trainer: SupervisedTrainer = self.parser.get_parsed_content("train#trainer")
            self.loss: Any = self.trainer.loss_function
            self.losses: list[float] = []
            self.batches: list[dict] = []
            self.labels: list[torch.Tensor] = []
            self.preds: list[torch.Tensor] = []
            self.weights: list[float] = []
            self.trainer.add_event_handler(Events.ITERATION_STARTED, self._before)
            self.trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, self._after)
            self.trainer.run()
        finally:
            set_determinism(None)
        self.metrics = self.trainer.state.metrics

    def _before(self, engine: Any) -> None:
        self.batches.append(dict(engine.state.batch))

    def _after(self, engine: Any) -> None:
        output = engine.state.output
        self.losses.append(output["loss"].item())
        self.labels.append(output["label"])
        self.preds.append(output["pred"])
        self.weights.append(getattr(self.loss, "relevance_weight", 0.0))

    def backgrounds(self) -> list[bool]:
        """Whether the background of each sample is another one's."""
        images = torch.cat([torch.as_tensor(batch["image"]) for batch in self.batches])
        return (images[:, 0, 0, 0] != images[:, 0, 8, 8]).tolist()

    def donors_have_masks(self) -> list[bool]:
        return ["mask" in sample for sample in self.parser.get_parsed_content("donors")]


def backmix(t: Training) -> None:
    assert sum(t.backgrounds()) >= 2
    assert all(has for other, has in zip(t.backgrounds(), t.donors_have_masks(), strict=True) if other)


def background_blend(t: Training) -> None:
    flags = torch.cat([batch["has_mask"] for batch in t.batches])
    assert flags.tolist() == t.donors_have_masks()
    batch, n_masks = t.batches[-1], int(t.batches[-1]["has_mask"].sum())
    blended = t.parser.get_parsed_content("train#prepare_batch").blend
    assert blended.n_blended == n_masks >= 2
    images, seen = torch.as_tensor(batch["image"]), blended(batch)["image"]
    changed = (seen != images).flatten(1).any(1)
    assert changed.any()
    assert not changed[~batch["has_mask"]].any()
    assert torch.equal(seen[:, :, 4:12, 4:12], images[:, :, 4:12, 4:12])


def background_consistency(t: Training) -> None:
    assert t.metrics["consistency_loss"] > 0
    flags = torch.cat([batch["has_swap_mask"] for batch in t.batches])
    assert flags.tolist() == t.donors_have_masks()
    swapped = attached(t.preds[-1], "swapped")
    rows = t.batches[-1]["has_swap_mask"].nonzero().flatten()
    assert torch.equal(swapped["rows"], rows)
    assert len(swapped["logits"]) == len(rows) >= 2
    copies, images = (torch.as_tensor(t.batches[-1][key]) for key in ("swap_image", "image"))
    assert torch.equal(copies[:, :, 4:12, 4:12], images[:, :, 4:12, 4:12])
    assert torch.equal(copies[:, 0, 0, 0], copies[:, 0, 8, 8])  # of no other background, whatever BackMix does
    inside = next(part for part in t.loss.modules() if "consistency" in getattr(part, "terms", {}))
    before = t.loss(t.preds[-1], t.labels[-1]).mean().item()
    inside.consistency_weight = 50.0
    assert t.loss(t.preds[-1], t.labels[-1]).mean().item() > before


def few_masks(t: Training) -> None:
    assert sum(t.donors_have_masks()) == 4


def wbackmix(t: Training) -> None:
    backmix(t)
    few_masks(t)
    weights = torch.cat([batch["weight"] for batch in t.batches])
    assert torch.equal(weights, torch.where(torch.tensor(t.donors_have_masks()), 1.5, 0.5))
    weighted = next(part for part in t.loss.modules() if isinstance(part, SampleWeightedLoss))
    label = t.labels[-1]
    rows = attached(label, "weight")
    assert len(rows) == len(attached(label, "rows", label))
    each = weighted.classification_loss(t.preds[-1], label)
    assert weighted(t.preds[-1], label).mean().item() == pytest.approx((each * rows).mean().item(), rel=1e-4)


def isnet(t: Training) -> None:
    if "isnet_paper" not in t.parser["methods"]:
        assert t.weights == [0.0, 0.1]  # P rises to 0.2 at the end of the epoch
        assert settings_of(t) == (True, 0.1)
    terms = {"classification_loss", "background_loss", "foreground_loss", "relevance_weight", "gradient_norm"}
    assert terms <= t.metrics.keys()
    flags = torch.cat([batch["has_mask"] for batch in t.batches])
    assert flags.tolist() == t.donors_have_masks()
    heat = attached(t.preds[-1], "heatmap")
    heatmap = heat["input"] if isinstance(heat, dict) else heat
    assert len(heatmap) == attached(t.labels[-1], "has_mask").sum() > 0
    before = t.loss(t.preds[-1], t.labels[-1]).item()
    t.loss.relevance_weight = 0.25
    assert t.loss(t.preds[-1], t.labels[-1]).item() != pytest.approx(before, rel=1e-4)


def settings_of(t: Training) -> tuple[bool, float]:
    return t.parser.get_parsed_content("train#inferer").blend, t.loss.background_scale


def isnet_paper(t: Training) -> None:
    assert t.weights == [0.7, 0.7]
    assert settings_of(t) == (False, 1.0)


def isnet_lds(t: Training) -> None:
    assert set(attached(t.preds[-1], "heatmap")) == {"input", *STAGES}


def spectral_decoupling(t: Training) -> None:
    assert t.metrics["penalty_loss"] > 0
    inside = next(part for part in t.loss.modules() if "penalty" in getattr(part, "terms", {}))
    before = t.loss(t.preds[-1], t.labels[-1]).item()
    inside.penalty_weight = 5.0
    assert t.loss(t.preds[-1], t.labels[-1]).item() > before + 1e-4


def mixup(t: Training) -> None:
    rows = [attached(label, "rows") for label in t.labels]
    assert [row.shape for row in rows] == [(4, 4)] * 2
    assert all(((row > 0.01) & (row < 0.99)).any() for row in rows)
    assert "mixed_loss" in t.metrics


manifold_mixup = mixup


def flow_mixup(t: Training) -> None:
    assert {"unmixed_loss", "layer2_loss", "layer3_loss"} <= t.metrics.keys()
    for pred, label in zip(t.preds, t.labels, strict=True):
        assert attached(pred, "rows").shape == attached(label, "rows").shape == (12, 4)


def label_noise(t: Training) -> None:
    listed, trained = (t.parser.get_parsed_content(name) for name in ("listed_items", "train_items"))
    assert sum(one["label"] != other["label"] for one, other in zip(listed, trained, strict=True)) == 2  # of 8
    assert torch.cat([batch["label"] for batch in t.batches]).tolist() == [item["label"] for item in trained]
    assert t.parser.get_parsed_content("method").count("label_noise_0.2") == 1


def select_by_swap(t: Training) -> None:
    metrics = t.parser.get_parsed_content("validate#evaluator").state.metrics
    assert set(metrics) == {"val_accuracy", "val_swap_consistency", "consistent_val_accuracy"}
    product = metrics["val_accuracy"] * metrics["val_swap_consistency"]
    assert metrics["consistent_val_accuracy"] == pytest.approx(product)


AT_WORK: dict[str, Callable[[Training], None]] = {name: globals()[name] for name in NAMES}


def refused(names: Sequence[str]) -> str | None:
    """What an error must say of overlays that cannot be combined."""
    mixing = [name for name in names if name in MIXUPS]
    have_masks = {"backmix", "wbackmix", "background_blend", "isnet", "background_consistency"}
    if "isnet_lds" in names and "isnet" not in names:
        return "isnet_lds needs isnet as well"
    if "isnet_paper" in names and "isnet" not in names:
        return "isnet_paper needs isnet as well"
    if {"background_blend", "isnet"} <= set(names):
        return "background_blend and isnet cannot be combined: an ISNet blends"
    if "few_masks" in names and not have_masks & set(names):
        return "few_masks needs backmix or wbackmix or background_blend or isnet or background_consistency as well"
    if "isnet_lds" in names and {"manifold_mixup", "flow_mixup"} & set(names):
        return rf"isnet_lds and {mixing[0]} cannot be combined: the rows of a layer after a mixed state are mixtures"
    if "background_consistency" in names and mixing:
        return f"background_consistency and {mixing[0]} cannot be combined: the prediction of a mixture"
    if len(mixing) > 1:
        return f"{mixing[0]} and {mixing[1]} cannot be combined: each "
    return None


def check(cohort: Path, folder: Path, names: Sequence[str]) -> Training | None:
    """Train with overlays and look at each of them; None if they are refused, as they must be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if (message := refused(names)) is not None:
            with pytest.raises((RuntimeError, ValueError)) as caught:
                Training(cohort, folder, names)
            assert re.search(message, str(caught.value.__cause__ or caught.value)), str(caught.value)
            return None
        training = Training(cohort, folder, names)
    assert len(training.losses) == 2
    assert all(np.isfinite(training.losses))
    shown = training.trainer.state.output  # as in a plain training
    given = [item["label"] for item in training.parser.get_parsed_content("train_items")[4:]]
    assert [(len(item["pred"]), item["label"]) for item in shown] == [(4, label) for label in given]
    for name in names:
        AT_WORK[name](training)
    return training


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


IN_TRIPLES = [set(names) for names in TRIPLES if refused(names) is None]


@pytest.mark.parametrize("first", NAMES)
def test_all_pairs(first: str, cohort: Path, tmp_path: Path) -> None:
    """In one order, since the entries are the same in the other one; those of a triple are trained there."""
    for number, second in enumerate(NAMES[NAMES.index(first) + 1 :]):
        names = (first, second) if number % 2 else (second, first)
        try:
            if refused(names) is None:
                assert in_any_order(merged(names)) == in_any_order(merged(names[::-1]))
            if not any(set(names) <= triple for triple in IN_TRIPLES):
                check(cohort, tmp_path / "-".join(names), names)
        except Exception as error:
            raise AssertionError(f"{first} and {second}: {error}") from error


@pytest.mark.parametrize("names", TRIPLES, ids="-".join)
def test_triples(names: tuple[str, ...], cohort: Path, tmp_path: Path) -> None:
    one = check(cohort, tmp_path / "one", names)
    if one is None:
        return
    assert in_any_order(merged(names)) == in_any_order(merged(names[::-1]))
    if TRIPLES.index(names) % 3 == 0:  # what is equal trains equally
        other = check(cohort, tmp_path / "other", names[::-1])
        assert other is not None
        assert one.losses == pytest.approx(other.losses, rel=1e-5)
