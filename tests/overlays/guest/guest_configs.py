# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Configs of a foreign bundle, as they may be written."""

from __future__ import annotations

from typing import Any

from monai.bundle import ConfigParser

LOAD = {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True}
CHANNELS = {"_target_": "EnsureChannelFirstd", "keys": "image"}
RESIZE = {"_target_": "Resized", "keys": "image", "spatial_size": [8, 8], "anti_aliasing": True}
ZSCORE = {"_target_": "NormalizeIntensityd", "keys": "image"}
NOISE = {"_target_": "RandGaussianNoised", "keys": "image"}
FLIP = {"_target_": "RandFlipD", "keys": ["image"], "prob": 1.0}
PAD = {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [9, 9], "mode": "edge"}


def config(transforms: Any = (LOAD, FLIP), **changes: Any) -> dict[str, Any]:
    """A training of few words; ``changes`` by their ids."""
    dataset = {
        "_target_": "Dataset",
        "data": "@items",
        "transform": {"_target_": "Compose", "transforms": list(transforms)},
    }
    trainer = {"_target_": "SupervisedTrainer", "network": "@net", "loss_function": "@loss"}
    trainer["train_data_loader"] = "@train#loader"
    parser = ConfigParser(
        {
            "items": [],
            "net": {"_target_": "ResNet", "num_classes": 3},
            "loss": {"_target_": "torch.nn.CrossEntropyLoss"},
            "train": {"dataset": dataset, "loader": {"_target_": "DataLoader", "dataset": "@train#dataset"}},
        }
    )
    parser["train"]["trainer"] = trainer
    for place, value in changes.items():
        parser[place.replace("__", "#")] = value
    return parser.get()
