# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo cohort of chest radiographs, whose markers name the class: COVID-19, other pneumonia or none of them.

There are two testbeds, a small residual network with all films, and the papers' DenseNet121 with fewer. The lungs are
those of the cohort. Networks see films in [0, 1], as the bundles' do, and there is no augmentation. Of three methods
there is a variant that sees the z-score of each film instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.networks.nets import DenseNet121, ResNet
from monai.transforms import Compose, CropForegroundd, LoadImaged, Resized
from monai.utils import set_determinism
from torch import nn

from benchmarks.evidence import verdict
from benchmarks.evidence.cohorts import kept_cohort, kept_tensors
from benchmarks.evidence.testbed import Row, Rows, Testbed
from benchmarks.evidence.training import AXES, GROUPS, Judge, Stopwatch, Training, Validation, judged
from benchmarks.methods import METHODS as METHODS_OF_ALL
from benchmarks.methods import Method, chosen
from benchmarks.parts import Parts, Step
from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import load_datalist
from monai_debias.demo import build_cxr_cohort
from monai_debias.demo.cxr.findings import TASKS

SPLITS = {
    "same": "same bias",
    "random": "random markers",
    "external": "external hospital",
    "reversed": "reversed markers",
}
CHANCE = 1 / len(TASKS["covid"])
MARGIN = 0.04  # of a film, around the lungs when films are cropped
NATURE = (
    "The cohort is semi-synthetic: films are projections of one CT, warped into virtual patients, with findings that "
    "were placed in the lungs. What holds for it need not hold for a hospital's films."
)
_REFERENCE = "markers of random hospitals; a reference, no method"
MAIN = (
    "plain",
    "unbiased",
    "masked",
    "cropped",
    "backmix",
    "wbackmix",
    "isnet",
    "isnet_stochastic",
    "isnet_original",
    "backmix_isnet",
    "background_blend",
    "background_consistency",
    "spectral_decoupling",
    "mixup",
    "manifold_mixup",
    "flow_mixup",
    "jtt",
    "afr",
)
METHODS = {
    **chosen((name for name in MAIN if name != "cropped"), {"unbiased": _REFERENCE}),
    "cropped": Method("cropped films", "a rectangle around the lungs, also in tests: takes masks for good"),
    **{
        f"{name}_z_score": replace(METHODS_OF_ALL[name], settings="films z-scored one by one")
        for name in ("plain", "backmix", "isnet")
    },
    **chosen(
        ("backmix_spectral_decoupling", "isnet_unblended", "backmix_isnet_unblended", "backmix_background_consistency"),
        {},
    ),
}


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    patients: tuple[int, int, int, int] = (400, 60, 100, 60)
    size: int = 96
    trained: int = 1_200  # films
    epochs: int = 16
    batch: int = 32
    learning_rate: float = 3e-3
    judged: int = 60  # images at a time
    explained: int | None = None  # images whose relevance is measured; None for all


QUICK = Budget(patients=(8, 4, 3, 2), size=64, trained=16, epochs=1, batch=8, judged=5)


class Films(NamedTuple):
    """The films of a section."""

    image: torch.Tensor
    """(N, 1, size, size), in [0, 1], where 0 is black."""
    label: torch.Tensor
    """(N,)."""
    mask: torch.Tensor
    """(N, 1, size, size), 1 in the lungs, uint8."""

    def items(self) -> list[dict[str, Any]]:
        """For a data set."""
        return [dict(zip(self._fields, sample, strict=True)) for sample in zip(*self, strict=True)]


class Network(NamedTuple):
    """What is trained in a testbed."""

    make: Callable[[int], nn.Module]
    """From the number of classes."""
    stages: tuple[str, ...]
    """Modules whose outputs are its hidden states."""


NETWORKS = {
    "chest_xray": Network(
        lambda n_classes: ResNet(
            "basic",
            layers=[1, 1, 1, 1],
            block_inplanes=[16, 32, 64, 128],
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_size=7,
            conv1_t_stride=2,
            num_classes=n_classes,
        ),
        ("layer1", "layer2", "layer3", "layer4"),
    ),
    "chest_xray_densenet121": Network(
        partial(DenseNet121, 2, 1), ("features.transition1", "features.transition2", "features.transition3")
    ),
}


def cohort(bias: float, budget: Budget, task: str = "covid") -> Path:
    """The folder of the cohort of a bias."""
    name = f"cxr_{task}_{'_'.join(map(str, budget.patients))}_{budget.size}px_bias{bias:g}"
    options: dict[str, Any] = {"patients": budget.patients, "size": budget.size, "workers": 1, "progress": False}
    return kept_cohort(name, lambda folder: build_cxr_cohort(folder, task, bias, **options))


@cache
def load(folder: Path, section: str, cropped: bool = False) -> Films:
    """A section of a cohort, as the package's reader gives it."""
    file = folder / f"{section}{'_cropped' * cropped}.pt"
    return Films(*kept_tensors(file, lambda: read_films(folder, section, cropped)))


def read_films(folder: Path, section: str, cropped: bool) -> Films:
    """Read the files of a section."""
    keys = ("image", "mask")
    read = LoadImaged(keys, reader=RadiographReader(), image_only=True, ensure_channel_first=True)
    items = load_datalist(folder, section)
    samples = [read({key: item[key] for key in keys}) for item in items]
    if cropped:
        size = samples[0]["image"].shape[1:]
        crop = CropForegroundd(keys, source_key="mask", margin=round(MARGIN * size[0]), allow_smaller=True)
        transform = Compose([crop, Resized(keys, size, mode=("area", "nearest"))])
        samples = [transform(sample) for sample in samples]
    image, mask = (torch.stack([sample[key].as_tensor() for sample in samples]) for key in keys)
    return Films(image.float(), torch.tensor([item["label"] for item in items]), (mask > 0.5).to(torch.uint8))


def z_score(images: torch.Tensor) -> torch.Tensor:
    """Of an image (1, rows, columns), or of each of a batch."""
    deviation, mean = torch.std_mean(images, dim=(-3, -2, -1), keepdim=True)
    return (images - mean) / deviation


def train(
    steps: tuple[Step, ...],
    seed: int,
    bias: float,
    strength: float,
    budget: Budget,
    network: str = "chest_xray",
    cropped: bool = False,
    task: str = "covid",
    z_scored: bool = False,
) -> Training:
    """Train a method once; no test section is loaded.

    Args:
        steps: of the method.
        seed: of weights, batches, masks and mixing; the cohort has its own.
        bias: share of the training films with the markers of the hospital of their class.
        strength: the same of the validation films.
        budget: films, epochs and so on.
        network: which of the networks.
        cropped: whether films are cropped to the lungs.
        task: that of the cohort.
        z_scored: whether the network sees the z-score of each film, instead of the film in [0, 1].
    """
    set_determinism(seed)
    made, n_classes = NETWORKS[network], len(TASKS[task])
    samples = load(cohort(bias, budget, task), "training", cropped).items()[: budget.trained]
    parts = Parts(made.make(n_classes), made.stages, n_classes, samples, seed)
    parts = replace(parts, normalize=z_score) if z_scored else replace(parts, input_range=(0.0, 1.0))
    parts = parts.changed(steps)
    seen = {"normalize": z_score} if z_scored else {}
    judge = Judge(parts.network, **seen, n_swaps=2, batch=budget.judged, masked=parts.masked)
    validation = Validation(judge, load(cohort(strength, budget, task), "validation", cropped), budget.explained)
    stopwatch = Stopwatch()
    parts.fit(budget.batch, budget.epochs, budget.learning_rate, stopwatch, validation)
    return Training(judge, validation, stopwatch.seconds)


def run(network: str, name: str, seed: int, strength: float = 1.0, budget: Budget = Budget()) -> Row:
    """Train and judge one method once; the strength is the share of films with the markers of their class."""
    bias, cropped = CHANCE if name == "unbiased" else strength, name == "cropped"
    z_scored = name.endswith("_z_score")
    trained = train(METHODS[name].steps, seed, bias, strength, budget, network, cropped, z_scored=z_scored)
    folder = cohort(strength, budget)
    return judged(trained, {split: load(folder, f"test_{split}", cropped) for split in SPLITS}, budget.explained)


def testbed_of(network: str, budget: Budget, main: tuple[str, ...], strengths: tuple[float, ...]) -> Testbed:
    """The testbed of a network."""

    def remarks(rows: Rows) -> str:
        """Whether the testbed counts, what another choice of the epoch had given, the external split, the data."""
        external = (
            f"Points above plain on “{SPLITS['external']}”, paired by seed, with the 95 % interval:\n\n"
            f"{verdict.above_plain(testbed, rows, 'external')}"
        )
        return f"{verdict.remarks(testbed, rows)}\n\n{external}\n\n{NATURE}"

    testbed = Testbed(
        name=network,
        methods=METHODS,
        main=main,
        splits=SPLITS,
        groups=GROUPS,
        axes=AXES,
        budget=budget,
        quick=QUICK,
        run=partial(run, network),
        remarks=remarks,
        strengths=strengths,
        strength="share of the training films with the markers of the hospital of their class",
        gap=0.3,
    )
    return testbed


FEWER = replace(Budget(), trained=600, epochs=12, learning_rate=1e-3, explained=60)
TESTBEDS = (
    testbed_of("chest_xray", Budget(), MAIN, (0.8, 0.95, 1.0)),
    testbed_of("chest_xray_densenet121", FEWER, ("plain", "backmix", "isnet"), (1.0,)),
)
