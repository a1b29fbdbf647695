# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the guides share: a guide's code, a small network, and the stock trainer of a bundle around it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "bundles" / "echo_view" / "configs"
NETWORK: dict[str, Any] = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 4, 8, 8], "spatial_dims": 2}
NETWORK |= {"n_input_channels": 1, "num_classes": 3}


def read_guide(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def block(guide: str, language: str, content: str = "") -> str:
    """The only block of code in this language that has the content."""
    (found,) = [b for b in re.findall(rf"```{language}\n(.*?)```", guide, re.DOTALL) if content in b]
    return found


def run_code(code: str, names: dict[str, Any]) -> None:
    """Run code of our own documents, which finds and leaves its variables in names."""
    exec(code, names)  # noqa: S102


def make_batch() -> dict[str, torch.Tensor]:
    mask = torch.zeros(4, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    return {"image": torch.rand(4, 1, 32, 32), "label": torch.tensor([0, 1, 2, 0]), "mask": mask}


def make_samples() -> list[dict[str, torch.Tensor]]:
    batch = make_batch()
    return [dict(zip(batch, sample, strict=True)) for sample in zip(*batch.values(), strict=True)]


def train_with_overlay(overlay: str, n_entries: int, mask: bool = True) -> Any:
    """The stock trainer of a bundle, with the entries of an overlay, after an epoch."""
    trainer = {
        "_target_": "SupervisedTrainer",
        "max_epochs": 1,
        "device": "cpu",
        "train_data_loader": [{key: value for key, value in make_batch().items() if mask or key != "mask"}],
        "network": "@network",
        "loss_function": {"_target_": "torch.nn.CrossEntropyLoss"},
        "optimizer": {"_target_": "torch.optim.Adam", "params": "$@network.parameters()", "lr": 0.001},
        "inferer": {"_target_": "SimpleInferer"},
    }
    parser = ConfigParser({"network": {"_target_": "ResNet", **NETWORK}, "train": {"trainer": trainer}})
    entries = json.loads(overlay)
    assert len(entries) == n_entries
    parser.update(entries)
    trained = parser.get_parsed_content("train#trainer")
    trained.run()
    return trained
