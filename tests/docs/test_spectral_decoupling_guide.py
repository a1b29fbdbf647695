# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/spectral_decoupling.md, run as they stand there."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import ResNet

from monai_debias.losses import SpectralDecouplingLoss
from tests.docs.guides import CONFIGS, NETWORK, block, make_batch, read_guide, run_code, train_with_overlay

GUIDE = read_guide("spectral_decoupling")
OVERLAY = CONFIGS / "spectral_decoupling.json"


def test_the_python_example_trains():
    parts: dict[str, Any] = {"device": "cpu", "epochs": 2, "loader": [make_batch()] * 2, "network": ResNet(**NETWORK)}
    before = parts["network"].fc.weight.detach().clone()
    run_code(block(GUIDE, "python"), parts)
    trainer = parts["trainer"]
    assert trainer.state.metrics.keys() == {"classification_loss", "penalty_loss"}
    assert trainer.state.metrics["penalty_loss"] > 0
    terms = parts["loss"].terms
    assert trainer.state.output[0]["loss"] == pytest.approx(sum(terms.values()).item())
    assert not torch.equal(parts["network"].fc.weight, before)


def test_one_line_puts_it_into_a_bundle():
    trainer = train_with_overlay(block(GUIDE, "json"), 1)
    assert trainer.loss_function.terms["penalty"] > 0


def test_the_table_names_the_options_and_their_defaults():
    section = GUIDE.split("## Options")[1].split("###")[0]
    rows = [[cell.strip(" |`") for cell in line.split(" |")] for line in section.splitlines() if line.startswith("|")]
    defaults = {option: default for _, option, _, default, *_ in rows[2:]}
    parameters = inspect.signature(SpectralDecouplingLoss).parameters
    assert list(defaults) == [name for name in parameters if name != "reduction"]
    for option, default in defaults.items():
        value = parameters[option].default
        assert default.strip('"') == str(value) or (value is None and default in ("none", "cross-entropy"))


def test_the_recommended_settings_are_one():
    """DomainBed's: those of the Python example, of the overlay of the bundle, and for two classes the default."""
    logits, label = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([0, 1])
    config = json.loads(OVERLAY.read_text(encoding="utf-8"))
    parts = {"spectral_decoupling": config["loss_parts#spectral_decoupling"]}
    nested = {"_target_": "monai_debias.losses.nested_loss", "classification_loss": None, "parts": "@loss_parts"}
    parser = ConfigParser({"loss_parts": parts, "loss": nested, **config})
    (example,) = re.findall("^loss = (.*)", block(GUIDE, "python"), re.MULTILINE)
    of_the_example = eval(example, {"SpectralDecouplingLoss": SpectralDecouplingLoss})
    for loss in (parser.get_parsed_content("loss"), of_the_example, SpectralDecouplingLoss()):
        loss(logits, label)
        assert loss.terms["penalty"].item() == pytest.approx(0.1 * (logits**2).mean().item())


def test_lambda_is_the_confidence_that_is_allowed():
    found = re.search(r"at a probability of ([^f]+) for λ = ([^.]+[\d., and]+)\.", GUIDE)
    assert found is not None
    probabilities, lambdas = ([float(n) for n in re.findall(r"\d+\.?\d*", text)] for text in found.groups())
    assert len(probabilities) == len(lambdas) == 4
    for probability, lam in zip(probabilities, lambdas, strict=True):
        for n_logits, weight in ((1, lam), (2, 2 * lam)):
            label = torch.ones(1, dtype=torch.long)
            logits = torch.zeros(1, n_logits, dtype=torch.float64, requires_grad=True)
            loss = SpectralDecouplingLoss(penalty_weight=weight)
            optimizer = torch.optim.LBFGS([logits], max_iter=100, tolerance_grad=1e-10)

            def closure(logits=logits, loss=loss, label=label, optimizer=optimizer) -> torch.Tensor:
                optimizer.zero_grad()
                value = loss(logits, label)
                value.backward()
                return value

            optimizer.step(closure)
            margin = logits[0, -1] - (logits[0, 0] if n_logits == 2 else 0)
            assert margin.sigmoid().item() == pytest.approx(probability, abs=6e-4)
