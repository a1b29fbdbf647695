# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The example of docs/background_consistency.md, run as it stands there, and its table."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from monai.networks.nets import ResNet

from monai_debias import engines, losses
from tests.docs.guides import NETWORK, block, make_samples, read_guide, run_code

GUIDE = read_guide("background_consistency")


def names(epochs: int) -> dict[str, Any]:
    return {"device": "cpu", "epochs": epochs, "samples": make_samples(), "network": ResNet(**NETWORK)}


def test_the_python_example_trains():
    parts = names(epochs=2)
    run_code(block(GUIDE, "python"), parts)
    trainer, terms = parts["trainer"], parts["loss"].terms
    assert trainer.state.metrics.keys() == {"classification_loss", "consistency_loss"}
    assert trainer.state.metrics["consistency_loss"] > 0
    assert trainer.state.output[0]["loss"] == pytest.approx((terms["classification"] + 5 * terms["consistency"]).item())
    assert trainer.state.output[0]["pred"].shape == (3,)


@pytest.mark.parametrize(
    ("line", "instead", "error", "message"),
    [
        ("    inferer=BackgroundSwapInferer(),\n", "", RuntimeError, "lacks .* BackgroundSwapInferer"),
        ("=loss,", "=torch.nn.CrossEntropyLoss(),", RuntimeError, "lacks BackgroundConsistencyLoss"),
        (', "swap_image", "swap_mask"]),', "]),", KeyError, "'swap_image', 'swap_mask'"),
    ],
)
def test_what_is_forgotten_is_an_error(line, instead, error, message):
    before, after = block(GUIDE, "python").split(line)
    parts = names(epochs=1)
    with pytest.raises(error, match=message):
        run_code(before + instead + after, parts)


def test_the_table_names_the_options_and_their_defaults():
    section = GUIDE.split("## Options")[1].split("##")[0]
    rows = [[cell.strip(" |`") for cell in line.split(" |")] for line in section.splitlines() if line.startswith("|")]
    owners = [losses.BackgroundConsistencyLoss, engines.SwapBackgrounds]
    parameters = {name: p for owner in owners for name, p in inspect.signature(owner).parameters.items()}
    parameters.pop("reduction")
    assert [row[1] for row in rows[2:]] == list(parameters)
    for _, option, default, *_ in rows[2:]:
        value = parameters[option].default
        assert default == str(value) or (value is None and default in ("none", "cross-entropy"))
