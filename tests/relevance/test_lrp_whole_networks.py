# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's networks as they are: what they return and hold stays the same, and their relevance is sound."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from monai.networks.nets import (
    DenseNet,
    DenseNet121,
    EfficientNetBN,
    HighResNet,
    ResNet,
    SegResNetVAE,
    SENet,
    SEResNet50,
    VarAutoEncoder,
    ViT,
)
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import Functional, relative_error, without_biases


def vit() -> ViT:
    size = {"hidden_size": 24, "mlp_dim": 32, "num_layers": 2, "num_heads": 4, "spatial_dims": 2}
    return ViT(1, (32, 32), (8, 8), **size, classification=True, num_classes=3, post_activation=None)


class LogitsOfViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.vit = vit()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.vit(x)[0]


def resnet(block: str, layers: list[int], planes: list[int], dims: int) -> ResNet:
    return ResNet(block, layers, planes, spatial_dims=dims, n_input_channels=1, num_classes=3, conv1_t_stride=2)


STAGES = ("layer1", "layer2", "layer3", "layer4")
DENSE_BLOCKS = ("features.denseblock1", "features.transition1", "features.denseblock2", "class_layers.relu")
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[str, ...]]] = {
    "narrow ResNet18": (lambda: resnet("basic", [2] * 4, [8, 16, 24, 32], 2), (1, 48, 48), STAGES),
    "short ResNet50": (lambda: resnet("bottleneck", [1] * 4, [64, 128, 256, 512], 2), (1, 48, 48), STAGES),
    "DenseNet121": (lambda: DenseNet121(2, 1, 3), (1, 48, 48), DENSE_BLOCKS),
    "short SEResNet50": (
        lambda: SEResNet50(spatial_dims=2, in_channels=3, num_classes=3, layers=[1, 1, 1, 1]),
        (3, 48, 48),
        ("layer0", "layer1", "layer2", "layer3", "layer4"),
    ),
    "EfficientNet-B0": (
        lambda: EfficientNetBN("efficientnet-b0", spatial_dims=2, in_channels=1, num_classes=3, pretrained=False),
        (1, 64, 64),
        (),
    ),
    "ViT": (LogitsOfViT, (1, 32, 32), ("vit.norm",)),
    "DenseNet 1-D": (
        lambda: DenseNet(1, 2, 3, init_features=16, growth_rate=8, block_config=(2, 2), dropout_prob=0.2),
        (2, 128),
        DENSE_BLOCKS,
    ),
    "ResNet 3-D": (lambda: resnet("basic", [1] * 4, [8, 16, 32, 64], 3), (1, 32, 32, 32), STAGES),
    "DenseNet 3-D": (
        lambda: DenseNet(3, 1, 3, init_features=8, growth_rate=4, block_config=(2, 2)),
        (1, 16, 16, 16),
        DENSE_BLOCKS,
    ),
}
names = pytest.mark.parametrize("name", NETWORKS)


def made(name: str, batch: int = 2) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    network = NETWORKS[name][0]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            module.weight.data.uniform_(0.6, 1.6)
            module.running_var.uniform_(0.6, 1.6)
            module.running_mean.normal_(std=0.1)
    return network, torch.rand(batch, *NETWORKS[name][1])


def hooks(network: nn.Module) -> list[str]:
    return [
        f"{name}.{attribute}"
        for name, module in network.named_modules()
        for attribute in vars(module)
        if attribute.endswith("hooks") and getattr(module, attribute)
    ]


@names
def test_nothing_of_the_network_changes(name) -> None:
    network, x = made(name)
    layers = NETWORKS[name][2]
    before = copy.deepcopy(network.state_dict())
    attributes = {n: dict(vars(m)) for n, m in network.named_modules()}
    parameters = dict(network.named_parameters())
    for training in (True, False):
        network.train(training)
        network.load_state_dict(before)
        torch.manual_seed(1)
        expected = network(x)
        after = copy.deepcopy(network.state_dict())
        for target in ("selective", "dual"):
            network.load_state_dict(before)
            torch.manual_seed(1)
            logits, relevance = LRP(network)(x, target, layers=layers)
            relevance = relevance if layers else {"input": relevance}
            assert torch.equal(logits, expected)
            assert set(relevance) == {"input", *layers}
            assert relevance["input"].shape == (2, 1 + (target == "dual"), *x.shape[1:])
            assert all(r.isfinite().all() and r.abs().max() > 0 for r in relevance.values())
            state = network.state_dict()
            assert all(torch.equal(state[key], value) for key, value in after.items())
            assert not hooks(network)
    assert dict(network.named_parameters()) == parameters
    assert all(p.requires_grad and p.grad is None for p in parameters.values())
    network.train()
    assert {n: dict(vars(m)) for n, m in network.named_modules()} == attributes


@names
def test_relevance_is_conserved_layer_by_layer(name) -> None:
    """Biases off, ε → 0: the relevance of the input, and that of each stage, sums up to the explained logit."""
    network, x = made(name)
    network = without_biases(network.double().eval())
    # an epsilon of 1e-9 is not small beside what comes out of a deep network without biases
    logits, relevance = LRP(network, epsilon=0)(x.double(), "all", layers=NETWORKS[name][2])
    relevance = relevance if isinstance(relevance, dict) else {"input": relevance}
    assert logits.abs().min() > 0
    for layer, values in relevance.items():
        error = (values.flatten(2).sum(2) - logits).abs() / logits.abs()
        assert error.max() < 1e-3, layer


def normalised_by_groups() -> nn.Module:
    first = nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 8, 3), nn.InstanceNorm2d(8)
    return nn.Sequential(*first, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LayerNorm(32), nn.Linear(32, 3))


@pytest.mark.parametrize(
    ("name", "target"),
    [*product(["ViT", "groups", "narrow ResNet18"], ["all", "selective", "dual"]), ("EfficientNet-B0", "dual")],
)
def test_the_map_of_a_sample_does_not_depend_on_the_others(name, target) -> None:
    """Literally, where its activations do not: in training without batch norm, in evaluation with it."""
    network, x = made(name, 3) if name in NETWORKS else (normalised_by_groups(), torch.rand(3, 1, 16, 16))
    network, x = network.double().train("Net" not in name), x.double()
    others = torch.rand_like(x)
    others[1] = x[1]
    _, relevance = LRP(network)(x, target)
    _, changed = LRP(network)(others, target)
    _, alone = LRP(network)(x[1:2], target)
    assert relative_error(changed[1], relevance[1]) < 1e-5
    assert relative_error(alone[0], relevance[1]) < 1e-5
    assert relative_error(changed[0], relevance[0]) > 1e-2


@pytest.mark.parametrize("name", ["narrow ResNet18", "DenseNet 1-D", "EfficientNet-B0", "short SEResNet50"])
def test_in_training_with_batch_norm_relevance_stays_with_the_sample(name) -> None:
    """The batch's statistics do change a sample's activations, but explaining it alone says nothing of the others."""
    network, x = made(name, 3)
    state = copy.deepcopy(network.train().state_dict())
    maps = []
    for only in (torch.ones(3), torch.tensor([0.0, 1.0, 0.0])):
        network.load_state_dict(state)
        torch.manual_seed(1)
        maps.append(LRP(network)(x, lambda z, only=only: z[:, 0] * only)[1])
    assert torch.equal(maps[1][[0, 2]], torch.zeros_like(maps[1][[0, 2]]))
    assert relative_error(maps[1][1], maps[0][1]) < 1e-5


def two_layers_first_tokens(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Tokens come first and samples second, as in many transformers; their numbers are the same."""
    return m.fc(m.norm(m.first(x.flatten(2).permute(2, 0, 1)).relu()).mean(0))


def tokens_first() -> nn.Module:
    return Functional(two_layers_first_tokens, first=nn.Linear(1, 16), norm=nn.LayerNorm(16), fc=nn.Linear(16, 3))


@pytest.mark.parametrize("target", ["all", "selective", "dual"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["narrow ResNet18", "DenseNet 1-D", "ResNet 3-D", "ViT", "groups", "tokens first"])
def test_rows_are_those_of_all(name, training, target) -> None:
    """The same relevance, and the same gradients of a loss of it, for less work."""
    if name in NETWORKS:
        network, x = made(name, 4)
    else:
        torch.manual_seed(0)
        network = normalised_by_groups() if name == "groups" else tokens_first()
        x = torch.rand(4, 1, 16, 16) if name == "groups" else torch.rand(4, 1, 2, 2)
    network, x = network.double().train(training), x.double()
    state, rows = copy.deepcopy(network.state_dict()), torch.tensor([2, 0])
    layers, found = NETWORKS.get(name, (None, None, ()))[2][:2], []
    if name == "ViT":  # after the attention it is not known that samples come first
        with pytest.raises(ValueError, match="explain all rows"):
            LRP(network)(x, target, rows=rows, layers=layers)
        layers = ()
    for chosen in (None, rows):
        network.load_state_dict(state)
        network.zero_grad()
        torch.manual_seed(1)
        logits, relevance = LRP(network)(x, target, rows=chosen, create_graph=True, layers=layers)
        relevance = relevance if layers else {"input": relevance}
        if chosen is None:
            relevance = {key: value[rows] for key, value in relevance.items()}
        loss = logits.square().mean() + sum(value.abs().sum() for value in relevance.values())
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        found.append((logits, relevance, gradients))
    (logits, maps, gradients), (logits_of_rows, maps_of_rows, gradients_of_rows) = found
    assert torch.equal(logits, logits_of_rows)
    assert maps_of_rows["input"].shape[0] == 2
    for key, value in maps.items():
        assert relative_error(maps_of_rows[key], value) < 1e-6, key
    assert relative_error(gradients_of_rows, gradients) < 1e-6


@pytest.mark.parametrize("name", ["narrow ResNet18", "ResNet 3-D"])
def test_positive_relevance_is_conserved(name) -> None:
    """All of what the last layer adds up without anything negative arrives at the input, and at each stage."""
    network, x = made(name)
    network = without_biases(network.double().eval())
    features = []
    hook = network.fc.register_forward_hook(lambda _, arguments, __: features.append(arguments[0].detach()))
    _, relevance = LRP(network, epsilon=0)(x.double(), "dual", layers=STAGES)
    hook.remove()
    expected = (features[0] @ network.fc.weight.clamp(min=0).T).sum(1)
    for layer, values in relevance.items():
        torch.testing.assert_close(values[:, 0].flatten(1).sum(1), expected, rtol=1e-3, atol=0, msg=layer)


class Pooled(nn.Module):
    """Logits of the channels of what a network of MONAI's for images returns, and of what else it returns."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.fc = network, nn.Linear(channels, 3)

    def forward(self, x: torch.Tensor) -> Any:
        found = self.network(x)
        features, *others = found if isinstance(found, tuple) else (found,)
        return self.fc(features.flatten(2).mean(2)), others


class Variational(nn.Module):
    """Classification of the latent means of an autoencoder, whose sampling and decoder are side branches."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.fc = VarAutoEncoder(2, (1, 16, 16), 1, 4, (4, 8), (2, 2)), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        reconstruction, mean, log_variance, _ = self.network(x)
        return {"reconstruction": reconstruction, "spread": log_variance.exp(), "logits": self.fc(mean)}


class ConvNeXtV2(nn.Module):
    """A stem, a block with both kinds of layer norm and global response normalisation, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(1, 8, 4, stride=4), nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.response, self.scale, self.fc = nn.Parameter(torch.rand(16)), nn.Parameter(torch.rand(8)), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        centered = x - x.mean(1, keepdim=True)
        x = centered / torch.sqrt(centered.pow(2).mean(1, keepdim=True) + 1e-6) * self.scale[:, None, None]
        y = F.gelu(self.up(self.norm(self.depthwise(x).permute(0, 2, 3, 1))))
        norm = torch.norm(y, p=2, dim=(1, 2), keepdim=True)
        y = self.response * (y * (norm / (norm.mean(-1, keepdim=True) + 1e-6))) + y
        return self.fc((x + self.down(y).permute(0, 3, 1, 2)).mean((2, 3)))


class MemoryEfficientDenseLayers(nn.Module):
    """Every layer concatenates all before it, and does so again in the backward pass instead of keeping it."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.reentrant = nn.Conv2d(1, 4, 3, padding=1), reentrant
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(inplace=True), nn.Conv2d(c, 4, 3, padding=1)) for c in (4, 8, 12)
        )
        self.fc = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.first(x)]
        for layer in self.layers:
            joined = partial(lambda layer, *parts: layer(torch.cat(parts, 1)), layer)
            parts.append(checkpoint(joined, *parts, use_reentrant=self.reentrant))
        return self.fc(torch.cat(parts, 1).mean((2, 3)))


OTHERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int | str | None]] = {
    "ViT": (vit, (1, 32, 32), 0),
    "HighResNet": (lambda: Pooled(HighResNet(2, 1, 4), 4), (1, 16, 16), 0),
    "SENet154's block": (
        lambda: SENet(2, 1, "se_bottleneck", (1, 1, 1, 1), 16, 16, 0.2, inplanes=16, num_classes=3),
        (1, 32, 32),
        None,
    ),
    "SegResNetVAE": (
        lambda: Pooled(SegResNetVAE((16, 16), 8, 2, spatial_dims=2, init_filters=8, in_channels=1, out_channels=4), 4),
        (1, 16, 16),
        0,
    ),
    "VarAutoEncoder": (Variational, (1, 16, 16), "logits"),
    "ConvNeXt V2": (ConvNeXtV2, (1, 16, 16), None),
    "memory-efficient DenseNet": (lambda: MemoryEfficientDenseLayers(False), (1, 12, 12), None),
    "memory-efficient DenseNet, reentrant": (lambda: MemoryEfficientDenseLayers(True), (1, 12, 12), None),
}


@pytest.mark.parametrize(("make", "shape", "output"), OTHERS.values(), ids=OTHERS)
def test_relevance_of_other_networks_is_conserved(make, shape, output) -> None:
    torch.manual_seed(0)
    network, x = without_biases(make().double().eval()), torch.rand(2, *shape, dtype=torch.double)
    logits, relevance = LRP(network, epsilon=0, output=output)(x, "all")
    assert logits.abs().min() > 0
    assert ((relevance.flatten(2).sum(2) - logits).abs() / logits.abs()).max() < 1e-9
