# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/isnet.md, run as they stand there."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer
from monai.networks.nets import ResNet

from monai_debias import engines, handlers, inferers, losses

GUIDE = (Path(__file__).resolve().parents[1] / "docs" / "isnet.md").read_text(encoding="utf-8")
NETWORK = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 4, 8, 8], "spatial_dims": 2}
NETWORK |= {"n_input_channels": 1, "num_classes": 3}


def block(language: str, content: str) -> str:
    (found,) = [b for b in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if content in b]
    return found


def make_batch() -> dict[str, torch.Tensor]:
    mask = torch.zeros(4, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    return {"image": torch.rand(4, 1, 32, 32), "label": torch.tensor([0, 1, 2, 0]), "mask": mask}


def test_the_python_example_trains_and_saves_a_plain_network(tmp_path):
    parts: dict[str, Any] = {"torch": torch, "SupervisedTrainer": SupervisedTrainer, "device": "cpu", "epochs": 2}
    for module in (engines, handlers, inferers, losses):
        parts |= {name: getattr(module, name) for name in module.__all__}
    parts |= {"loader": [make_batch()] * 2, "network": ResNet(**NETWORK), "path": tmp_path / "network.pt"}
    before = parts["network"].fc.weight.detach().clone()
    exec(block("python", "SupervisedTrainer("), parts)  # noqa: S102  (our own document)
    metrics = parts["trainer"].state.metrics
    assert metrics["background_loss"] > 0
    assert metrics["relevance_weight"] == 0.5
    plain = ResNet(**NETWORK)
    plain.load_state_dict(torch.load(parts["path"], weights_only=True))
    assert not torch.equal(plain.fc.weight, before)


def test_three_lines_make_an_isnet_of_a_bundle():
    parser = ConfigParser(
        {
            "network": {"_target_": "ResNet", **NETWORK},
            "train": {
                "trainer": {
                    "_target_": "SupervisedTrainer",
                    "max_epochs": 1,
                    "device": "cpu",
                    "train_data_loader": [make_batch()],
                    "network": "@network",
                    "loss_function": {"_target_": "torch.nn.CrossEntropyLoss"},
                    "optimizer": {"_target_": "torch.optim.Adam", "params": "$@network.parameters()", "lr": 0.001},
                    "inferer": {"_target_": "SimpleInferer"},
                }
            },
        }
    )
    overlay = json.loads(block("json", "loss_function"))
    assert len(overlay) == 3
    parser.update(overlay)
    trainer = parser.get_parsed_content("train#trainer")
    trainer.run()
    assert trainer.loss_function.terms["background"] > 0


def test_the_table_names_the_options_and_their_defaults():
    rows = [[cell.strip() for cell in line.split(" |")] for line in GUIDE.splitlines() if re.match(r"\| (`|\|)", line)]
    public = {
        name: getattr(module, name) for module in (engines, handlers, inferers, losses) for name in module.__all__
    }
    listed: dict[str, set[str]] = {}
    owner = ""
    for name, options, _, default, *_ in rows:
        owner = name.strip("|` ") or owner
        found = re.findall(r"\w+", options)
        listed.setdefault(owner, set()).update(found)
        parameters = inspect.signature(public[owner]).parameters
        values = [parameters[option].default for option in found]
        for text in re.findall(r'"\w+"|[\d.]+', default):
            value = text.strip('"') if '"' in text else float(text)
            assert any(value == v or (isinstance(v, tuple) and value in v) for v in values), (owner, options, text)
    for owner in ("ISNetInferer", "ISNetLRPLoss"):
        assert listed[owner] | {"reduction"} >= set(inspect.signature(public[owner]).parameters)
