# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks whose shortcut is known, and images for them: a finding in the middle, a mark in a corner, and a tag."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_debias.data import save_datalist

Network = Callable[[torch.Tensor], torch.Tensor]


def make_items(
    n: int, bias: float = 0.9, per_patient: int = 1, seed: int = 0, noise: float = 0.4
) -> list[dict[str, Any]]:
    """Images (1, 16, 16) of two classes: the middle is as bright as the class, and noise; the corner as the mark.

    The mark is the class in the share ``bias`` of the patients, and the scanner has its name. Half of the images are of
    each class; a patient has one class.
    """
    rng = np.random.default_rng(seed)
    items = []
    for i in range(n):
        patient = i // per_patient
        own = np.random.default_rng([seed, patient])
        label = patient % 2
        mark = label if own.random() < bias else 1 - label
        image = np.full((1, 16, 16), 0.25, dtype=np.float32)
        image[:, 4:12, 4:12] = 0.3 + 0.4 * label + 0.4 * (own.normal() + rng.normal())
        image[:, 14:, 14:] = 0.2 + 0.6 * mark
        mask = np.zeros((1, 16, 16), dtype=np.uint8)
        mask[:, 3:13, 3:13] = 1
        items.append(
            {
                "image": torch.from_numpy(image),
                "mask": torch.from_numpy(mask),
                "label": label,
                "patient_id": f"p{patient}",
                "scanner": ["A", "B"][mark],
            }
        )
    return items


def looks_at(middle: float, corner: float) -> Network:
    """A network whose log-odds are a weighted sum of what is in the middle and what is in the corner."""

    def network(x: torch.Tensor) -> torch.Tensor:
        z = middle * (x[..., 4:12, 4:12].mean((1, 2, 3)) - 0.5) + corner * (x[..., 14:, 14:].mean((1, 2, 3)) - 0.5)
        return torch.stack([-z / 2, z / 2], 1)

    return network


class LooksAt(torch.nn.Module):
    """The same as a module: one dense layer whose weights are 0 but in the middle and in the corner."""

    def __init__(self, middle: float = 10.0, corner: float = 8.0) -> None:
        super().__init__()
        self.dense = torch.nn.Linear(256, 2)
        weight = torch.zeros(16, 16)
        weight[4:12, 4:12] = middle / 64
        weight[14:, 14:] = corner / 4
        with torch.no_grad():
            self.dense.weight.copy_(torch.stack([-weight.flatten(), weight.flatten()]) / 2)
            self.dense.bias.copy_(torch.tensor([middle + corner, -middle - corner]) / 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(x.flatten(1))


def write_data(folder: Path, n: int) -> Path:
    """The images as a data-set directory with one section, ``test``."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    items = []
    for i, item in enumerate(make_items(n)):
        np.save(folder / "images" / f"{i}.npy", (item["image"][0].numpy() * 100 + 100).clip(0, 255).astype(np.uint8))
        np.save(folder / "masks" / f"{i}.npy", item["mask"][0].numpy())
        paths = {"image": f"images/{i}.npy", "mask": f"masks/{i}.npy"}
        items.append({**paths, **{key: item[key] for key in ("label", "patient_id", "scanner")}})
    save_datalist(folder, {"test": items}, CLASSES, "semi-synthetic")
    return folder


CLASSES = ["no finding", "finding"]
TRANSFORMS = [
    {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
    {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 100, "a_max": 200, "b_min": 0, "b_max": 1},
]


def write_published_bundle(folder: Path, network: torch.nn.Module) -> Path:
    """A bundle without its training, as some of MONAI's Model Zoo are, whose items are not on this machine."""
    z_score = {"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": 0.5, "divisor": 1.0}
    config = {
        "imports": ["$import json"],
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "network_def": {"_target_": "tests.audit.subjects.LooksAt"},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [*TRANSFORMS, z_score]},
        "dataset": {
            "_target_": "Dataset",
            "data": "$json.load(open('/no/such/test.json'))",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "evaluator": {"_target_": "SupervisedEvaluator", "network": "@network", "val_data_loader": "@dataloader"},
    }
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save({"model": network.state_dict()}, folder / "models" / "model.pt")
    return folder


def write_bundle(folder: Path, network: torch.nn.Module) -> Path:
    """A bundle that knows nothing of this package, with its weights."""
    dataset = {"_target_": "Dataset", "data": [], "transform": {"_target_": "Compose", "transforms": TRANSFORMS}}
    loader = {"_target_": "DataLoader", "dataset": dataset, "batch_size": 4}
    config = {
        "network": {"_target_": "tests.audit.subjects.LooksAt"},
        "class_names": CLASSES,
        "train": {
            "trainer": {
                "_target_": "SupervisedTrainer",
                "network": "@network",
                "loss_function": {"_target_": "torch.nn.CrossEntropyLoss"},
                "train_data_loader": loader,
            }
        },
        "validate": {"evaluator": {"_target_": "SupervisedEvaluator", "val_data_loader": loader}},
    }
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "train.json").write_text(json.dumps(config))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder
