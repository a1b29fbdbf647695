# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Small digits beside a corner whose colour names their class, for four kinds of MONAI's networks: a testbed for each.

The digits are scikit-learn's, 8 × 8 and enlarged to 16 × 16, in the middle of a black canvas of 24 × 24 in colour; the
mask is their square. There are few images, so that a run takes half a minute, and the mark is brighter than the digit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from monai.networks.nets import DenseNet, EfficientNet, ResNet, ViT
from monai.utils import set_determinism
from sklearn.datasets import load_digits
from torch import nn

from benchmarks.evidence import verdict
from benchmarks.evidence.testbed import Row, Rows, Testbed
from benchmarks.evidence.training import AXES, GROUPS, Judge, Stopwatch, Training, Validation, judged
from benchmarks.methods import MAIN, METHODS
from benchmarks.parts import Parts

SPLITS = {"same": "colours as in training", "random": "random colours", "reversed": "colours of another class"}
SECTIONS = {"training": (0, 1_100), "validation": (1_100, 1_400), "test": (1_400, None)}
N_CLASSES, SIDE, CORNER = 10, 24, 4
VARIANTS = ("background_consistency", "isnet_paper", "isnet_unblended", "isnet_background_consistency")
COLOURS = torch.tensor(  # corners of the cube of colours without black, and three between them
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0.5, 0), (0, 0.5, 1), (0.5, 0, 1)]
)


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    images: int = 1_100
    epochs: int = 40
    batch: int = 32
    learning_rate: float = 1e-3


QUICK = Budget(images=96, epochs=1)


class Digits(NamedTuple):
    """Digits beside their corner."""

    image: torch.Tensor
    """(N, 3, 24, 24), in [0, 1], where 0 is black."""
    label: torch.Tensor
    """(N,)."""
    mask: torch.Tensor
    """(N, 1, 24, 24), 1 in the square of the digit."""

    def items(self) -> list[dict[str, Any]]:
        """For a data set."""
        return [dict(zip(self._fields, sample, strict=True)) for sample in zip(*self, strict=True)]


@cache
def load(section: str, colours: str = "same") -> Digits:
    """The digits of a section, beside colours of their classes ("same"), of any, or of another one ("reversed")."""
    begin, end = SECTIONS[section]
    source = load_digits()  # in the order of their writers
    order = torch.randperm(len(source.target), generator=torch.Generator().manual_seed(0))[begin:end]
    label = torch.from_numpy(source.target)[order]
    digit = torch.from_numpy(source.images)[order].float() / 32  # half as bright as the colours
    generator = torch.Generator().manual_seed(0)
    shift = {
        "same": torch.zeros_like(label),
        "random": torch.randint(N_CLASSES, label.shape, generator=generator),
        "reversed": torch.randint(1, N_CLASSES, label.shape, generator=generator),
    }[colours]
    border = (SIDE - 16) // 2
    enlarged = digit.repeat_interleave(2, 1).repeat_interleave(2, 2)
    image = nn.functional.pad(enlarged, [border] * 4)[:, None].repeat(1, 3, 1, 1)
    image[:, :, :CORNER, :CORNER] = COLOURS[(label + shift) % N_CLASSES][:, :, None, None]
    mask = nn.functional.pad(torch.ones(len(label), 1, 16, 16), [border] * 4)
    return Digits(image, label, mask)


class LogitsOfViT(ViT):
    """MONAI's vision transformer without the hidden states that it returns beside the logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits."""
        return super().forward(x)[0]


class Network(NamedTuple):
    """A small network of one kind."""

    title: str
    make: Callable[[], nn.Module]
    stages: tuple[str, ...]
    """Modules whose outputs are its hidden states."""


NETWORKS = {
    "resnet": Network(
        "ResNet",
        partial(
            ResNet,
            "basic",
            layers=[1, 1, 1, 1],
            block_inplanes=[16, 32, 64, 128],
            spatial_dims=2,
            n_input_channels=3,
            conv1_t_size=3,
            conv1_t_stride=1,
            no_max_pool=True,
            num_classes=N_CLASSES,
        ),
        ("layer1", "layer2", "layer3", "layer4"),
    ),
    "densenet": Network(
        "DenseNet",
        partial(DenseNet, 2, 3, N_CLASSES, init_features=16, growth_rate=12, block_config=(3, 3, 3), bn_size=2),
        ("features.transition1", "features.transition2", "features.norm5"),
    ),
    "efficientnet": Network(
        "EfficientNet",
        partial(
            EfficientNet,
            ["r1_k3_s11_e1_i32_o16_se0.25", "r1_k3_s22_e4_i16_o24_se0.25", "r2_k3_s22_e4_i24_o40_se0.25"],
            width_coefficient=1.0,
            depth_coefficient=1.0,
            dropout_rate=0.0,
            drop_connect_rate=0.0,
            image_size=SIDE,
            norm=("batch", {"eps": 1e-3, "momentum": 0.1}),
            spatial_dims=2,
            in_channels=3,
            num_classes=N_CLASSES,
        ),
        ("_blocks.0", "_blocks.1", "_blocks.2"),
    ),
    "vit": Network(
        "ViT",
        partial(
            LogitsOfViT,
            3,
            (SIDE, SIDE),
            (CORNER, CORNER),
            hidden_size=48,
            mlp_dim=96,
            num_layers=3,
            num_heads=4,
            classification=True,
            num_classes=N_CLASSES,
            post_activation="",
            spatial_dims=2,
        ),
        ("blocks.0", "blocks.1", "blocks.2"),
    ),
}


def train(network: str, method: str, seed: int, budget: Budget) -> Training:
    """Train a method once; no test split is loaded."""
    set_determinism(seed)
    made = NETWORKS[network]
    section = load("training", "random" if method == "unbiased" else "same")
    samples = section.items()[: budget.images]
    parts = Parts(made.make(), made.stages, N_CLASSES, samples, seed).changed(METHODS[method].steps)
    judge = Judge(parts.network, n_swaps=5, masked=parts.masked)
    validation, stopwatch = Validation(judge, load("validation")), Stopwatch()
    parts.fit(budget.batch, budget.epochs, budget.learning_rate, stopwatch, validation)
    return Training(judge, validation, stopwatch.seconds)


def run(network: str, method: str, seed: int, strength: float = 1.0, budget: Budget = Budget()) -> Row:
    """Train and judge one method once; the colour names the class of every training image."""
    trained = train(network, method, seed, budget)
    return judged(trained, {split: load("test", split) for split in SPLITS})


def testbed_of(name: str) -> Testbed:
    """The testbed of a kind of network."""

    def remarks(rows: Rows) -> str:
        """What choosing the epoch by another rule would have given."""
        return f"{verdict.selection(testbed, rows)}\n\n{verdict.ranking(testbed, rows)}"

    testbed = Testbed(
        name=f"colour_corner_{name}",
        methods={name: METHODS[name] for name in (*MAIN, *VARIANTS)},
        main=MAIN,
        splits=SPLITS,
        groups=GROUPS,
        axes=AXES,
        budget=Budget(),
        quick=QUICK,
        run=partial(run, name),
        remarks=remarks,
        gap=0.3,
    )
    return testbed


TESTBEDS = tuple(map(testbed_of, NETWORKS))
