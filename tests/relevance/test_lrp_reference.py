# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Agreement with numbers that the authors' implementation of ISNet returned for fixed networks and inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from monai_debias.attached import attach
from monai_debias.losses.isnet import ISNetLRPLoss
from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import relative_error

FOLDER = Path(__file__).parents[1] / "reference"
EPSILONS = ("0.01", "0.0001")
MODES = ("label", "selective", "selective_label", "all_classes")


class PlainNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.fc = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(nn.functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


def layered_network() -> nn.Sequential:
    first = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(288, 16), nn.ReLU(), nn.Linear(16, 3))


def loaded(name: str, network: nn.Module) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    with np.load(FOLDER / f"isnet_reference_{name}.npz", allow_pickle=False) as file:
        numbers = {key: torch.from_numpy(file[key]) for key in file.files}
    weights = {key.removeprefix("weights/"): value for key, value in numbers.items() if key.startswith("weights/")}
    network.load_state_dict(weights)
    return network.eval(), numbers


@pytest.fixture
def plain() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    return loaded("plainnet", PlainNet())


@pytest.fixture
def layered() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    return loaded("dual", layered_network())


def targets(numbers: dict[str, torch.Tensor]) -> dict[str, object]:
    label = numbers["labels"]
    return {"label": label, "selective": "selective", "selective_label": ("selective", label), "all_classes": "all"}


# the reference was itself computed in float32, where small denominators leave it about 1e-5 to differ by
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float32, 2e-5)])
@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("rule", [None, "zb"])
@pytest.mark.parametrize("mode", MODES)
def test_heatmap(plain, mode, rule, epsilon, dtype, tolerance) -> None:
    network, numbers = plain
    lrp = LRP(network.to(dtype), float(epsilon), input_rule=rule)
    logits, relevance = lrp(numbers["x"].to(dtype), targets(numbers)[mode])
    expected = numbers[f"heatmap/{mode}/zb{int(rule == 'zb')}/eps{epsilon}"]
    assert relative_error(logits, numbers["logits"]) < 1e-5
    assert relative_error(relevance, expected) < tolerance


def test_every_heatmap_of_the_reference_is_compared(plain, layered) -> None:
    compared = {f"heatmap/{m}/zb{z}/eps{e}" for m in MODES for z in (0, 1) for e in EPSILONS}
    assert {key for key in plain[1] if key.startswith("heatmap/")} == compared
    compared = {f"heatmap/{m}/eps{e}" for m in ("dual", "all_classes") for e in EPSILONS}
    assert {key for key in layered[1] if key.startswith("heatmap/")} == compared


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("number", [0, 1], ids=["positive", "epsilon"])
def test_dual_heatmap(layered, number, epsilon, dtype) -> None:
    network, numbers = layered
    logits, relevance = LRP(network.to(dtype), float(epsilon))(numbers["x"].to(dtype), "dual")
    assert relevance.shape == (3, 2, 1, 12, 12)
    assert relative_error(logits, numbers["logits"]) < 1e-5
    assert relative_error(relevance[:, number], numbers[f"heatmap/dual/eps{epsilon}"][:, number]) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_layer_by_layer_heatmap_of_all_classes(layered, epsilon, dtype) -> None:
    """That implementation divides by z + ε·sign z at the last layer, too; LRP-Flex only where an activation follows."""
    network, numbers = layered
    logits, relevance = LRP(network.to(dtype), float(epsilon))(numbers["x"].to(dtype), "all")
    last = logits / (logits + float(epsilon) * logits.sign())
    expected = numbers[f"heatmap/all_classes/eps{epsilon}"]
    assert relative_error(relevance * last[..., None, None, None], expected) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("mode", "target"), [("selective", "selective"), ("all_classes", "all")])
def test_loss_and_parameter_gradients(plain, mode, target, dtype) -> None:
    network, numbers = plain
    network.to(dtype)
    authors = {"relevance_weight": 0.7, "rank_decay": 0.9, "background_scale": 1.0, "foreground_penalty": "hybrid"}
    loss = ISNetLRPLoss(**authors, cuts=(0.05, 0.5))
    logits, relevance = LRP(network, 1e-2)(numbers["x"].to(dtype), target, create_graph=True)
    total = loss(attach(logits, heatmap=relevance), attach(numbers["labels"], mask=numbers["mask"]))
    total.backward()
    heatmap_loss = loss.terms["background"] + loss.terms["foreground"]
    assert total.item() == pytest.approx(numbers[f"total/{mode}/loss"].item(), rel=1e-5)
    classification = numbers[f"total/{mode}/classification"].item()
    assert loss.terms["classification"].item() == pytest.approx(classification, rel=1e-5)
    assert heatmap_loss.item() == pytest.approx(numbers[f"total/{mode}/heatmap"].item(), rel=1e-5)
    errors = {
        name: relative_error(parameter.grad, numbers[f"total/{mode}/grad/{name}"])
        for name, parameter in network.named_parameters()
    }
    assert len(errors) == 12
    assert max(errors.values()) < 1e-4, errors
