# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/isnet.md, run as they stand there."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import ResNet

from monai_debias import engines, handlers, inferers, losses
from tests.docs.guides import CONFIGS, NETWORK, block, make_batch, read_guide, run_code, train_with_overlay

GUIDE = read_guide("isnet")


def test_the_python_example_trains_and_saves_a_plain_network(tmp_path):
    parts: dict[str, Any] = {"device": "cpu", "epochs": 2, "loader": [make_batch()] * 2, "network": ResNet(**NETWORK)}
    parts["path"] = tmp_path / "network.pt"
    before = parts["network"].fc.weight.detach().clone()
    run_code(block(GUIDE, "python", "SupervisedTrainer("), parts)
    metrics = parts["trainer"].state.metrics
    assert metrics["background_loss"] > 0
    assert metrics["relevance_weight"] == pytest.approx(0.2 * 3 / 4)  # in the last of four iterations
    plain = ResNet(**NETWORK)
    plain.load_state_dict(torch.load(parts["path"], weights_only=True))
    assert not torch.equal(plain.fc.weight, before)


def test_three_lines_make_an_isnet_of_a_bundle():
    trainer = train_with_overlay(block(GUIDE, "json", "loss_function"), 3)
    assert trainer.loss_function.terms["background"] > 0


def test_entries_tune_the_cuts_before_the_ramp_of_the_bundle():
    config = ConfigParser()
    config.read_config([str(CONFIGS / name) for name in ("train.json", "isnet.json")])
    config.update({**json.loads(block(GUIDE, "json", "cut_tuning")), "network_def#block_inplanes": [4, 4, 8, 8]})
    handlers, state = (config.get_parsed_content(f"train#{part}") for part in ("method_handlers", "state"))
    assert state["cut_tuning"] is handlers["cut_tuning"]
    assert handlers["relevance_schedule"].delay == handlers["cut_tuning"].epochs == 5


def test_one_entry_captures_the_steps_which_a_cpu_takes_as_they_are():
    trainer = train_with_overlay(f"{{{block(GUIDE, 'json', 'CapturedIteration')}}}", 1)
    assert isinstance(trainer._process_function, engines.CapturedIteration)
    assert trainer.state.output[0]["loss"] > 0


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
