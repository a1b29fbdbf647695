# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The echo demo cohort: phantoms of four views, whose scanner names the view on the screen; one run of a method.

The bundle bundles/echo_view trains, by its own config files; only the size of the images, the number of epochs, the
learning rate, paths and the seed are overridden. Its validator, checkpoints and logs are replaced by the validation
of the evidence, on the images and sectors that the bundle's transforms make.

Cohorts, and the sectors found in their clips (a fifth of a second for each), are kept in the folder
``benchmarks/cohorts``. Delete it when the code that makes them has changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser
from monai.data import Dataset, set_track_meta
from monai.transforms import Compose

from benchmarks.evidence import verdict
from benchmarks.evidence.testbed import Row, Rows, Testbed
from benchmarks.evidence.training import AXES, GROUPS, Judge, Stopwatch, Training, Validation, judged
from benchmarks.methods import Method, chosen
from monai_debias.data import load_datalist
from monai_debias.demo import echo_demo_cohort

ROOT = Path(__file__).resolve().parents[3]
BUNDLE = ROOT / "bundles" / "echo_view"
COHORTS = ROOT / "benchmarks" / "cohorts"
SPLITS = {"same": "same bias", "random": "random overlay", "reversed": "reversed overlay"}
CHANCE = 0.25  # one of four views
N_SWAPS = 2  # other backgrounds for each image: the sections are small
NATURE = (
    "The cohort is semi-synthetic: phantoms of hearts on the screens of fictitious scanners, no patients. What "
    "holds for it need not hold for a clinic's data."
)
MAIN = (
    "plain",
    "unbiased",
    "backmix",
    "wbackmix",
    "isnet",
    "background_blend",
    "background_consistency",
    "spectral_decoupling",
    "mixup",
    "manifold_mixup",
    "flow_mixup",
    "backmix_isnet",
)
_ISNET = "backgrounds blended, P rises to 0.2 until the end, d 0.9, E 0.1"
METHODS = chosen(
    (*MAIN, "background_consistency_few_masks", "isnet_few_masks"),
    {
        "unbiased": "overlays of random views; a reference, no method",
        "isnet": _ISNET,
        "flow_mixup": "alpha 1, the second and third stage",
        "backmix_isnet": _ISNET,
        "isnet_few_masks": _ISNET,
    },
)


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    patients: tuple[int, int, int] = (100, 25, 60)
    frames: int = 8
    image_size: int = 64
    epochs: int = 20
    judged: int = 100  # images at a time
    learning_rate: float = 3e-3


QUICK = Budget(patients=(8, 2, 2), frames=2, image_size=32, epochs=1, judged=5)


class Section(NamedTuple):
    """The middle frames of a section's clips."""

    image: torch.Tensor
    """(N, 1, rows, columns), float32, in [0, 1]: 0 is black."""
    label: torch.Tensor
    """The view, (N,), int64."""
    mask: torch.Tensor
    """1 in the sector that the bundle finds, (N, 1, rows, columns), uint8; without rows if it was not looked for."""


def cohort(bias: float, budget: Budget) -> str:
    """The folder of the cohort of a bias, which is generated if it is not there."""
    folder = COHORTS / f"{'_'.join(map(str, (*budget.patients, budget.frames)))}_bias{bias:g}"
    return echo_demo_cohort(folder, bias, patients=budget.patients, frames=budget.frames, workers=1, progress=False)


def bundle(overlays: Sequence[str], folder: str, image_size: int) -> ConfigParser:
    """The bundle's training with some overlays, for the images of a cohort."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", *overlays)])
    parser["dataset_dir"] = folder
    parser["image_size"] = [image_size, image_size]
    parser["show_progress"] = False
    parser["device"] = "$torch.device('cpu')"
    parser["amp"] = False
    return parser


@cache
def load(folder: str, name: str, image_size: int, sectors: bool = True) -> Section:
    """A section of a cohort, as the bundle's transforms make it before they normalise."""
    parser = bundle((), folder, image_size)
    items = load_datalist(folder, name, parser.get_parsed_content("class_names"))
    transform = Compose(parser.get_parsed_content("load_transforms") + parser.get_parsed_content("prepare_transforms"))
    images = [transform({"image": item["image"]})["image"].as_tensor() for item in items]
    mask = find_sectors(folder, name, items, image_size) if sectors else torch.empty(0)
    return Section(torch.stack(images), torch.tensor([item["label"] for item in items]), mask)


def find_sectors(folder: str, name: str, items: Sequence[dict[str, Any]], image_size: int) -> torch.Tensor:
    """The sectors of a section, from the bundle's transforms for BackMix, or from the file that keeps them."""
    file = Path(folder) / f"sectors_{name}_{image_size}.pt"
    if not file.exists():
        transform = bundle(("backmix",), folder, image_size).get_parsed_content("train#deterministic_transforms")
        masks = [transform({"image": item["image"]})["mask"].as_tensor() for item in items]
        partial = file.with_name(f"{file.name}.{os.getpid()}")  # the other worker sees a whole file or none
        torch.save(torch.stack(masks).to(torch.uint8), partial)
        partial.replace(file)
    return torch.load(file, weights_only=True)


def training_samples(parser: ConfigParser, section: Section) -> Dataset:
    """What the bundle's cached data set of a method holds, without decoding the clips again."""
    items = map(parser.get_parsed_content("train#take_keys"), parser.get_parsed_content("train#items"))
    samples = [{**item, "image": image} for item, image in zip(items, section.image, strict=True)]
    if not parser["with_masks"]:
        return Dataset(samples)
    samples = [{**sample, "mask": mask} for sample, mask in zip(samples, section.mask, strict=True)]
    choose = Compose(list(parser.get_parsed_content("train#mask_transforms").values()))
    return Dataset([choose(sample) for sample in samples])


def normalizer(parser: ConfigParser) -> Callable[[torch.Tensor], torch.Tensor]:
    """What the bundle does to each image last, for a batch."""
    transform = Compose(parser.get_parsed_content("normalize_transforms"))

    def normalize(images: torch.Tensor) -> torch.Tensor:
        return torch.stack([transform({"image": image})["image"].as_subclass(torch.Tensor) for image in images])

    return normalize


def train(
    method: Method,
    seed: int,
    bias: float,
    strength: float,
    budget: Budget,
    options: Mapping[str, Any] | None = None,
    region: torch.Tensor | None = None,
) -> Training:
    """Train a method once; no test section is loaded.

    Args:
        method: what to train.
        seed: of everything random in the training, and of the choice of masks; cohorts have one of their own.
        bias: share of the training clips whose overlay names their own view.
        strength: the same of the validation clips.
        budget: clips, epochs and so on.
        options: entries of the bundle's config, instead of the method's and the budget's.
        region: of the size of an image, in place of the sectors of all training clips.
    """
    folder = cohort(bias, budget)
    parser = bundle(method.overlays, folder, budget.image_size)
    budgeted = {"max_epochs": budget.epochs, "learning_rate": budget.learning_rate, "seed": seed}
    for option, value in {**budgeted, **method.options, **(options or {})}.items():
        parser[option] = value
    parser["train#handlers"] = [h for h in parser["train#handlers"] if h["_target_"] == "LrScheduleHandler"]
    section = load(folder, "training", budget.image_size, region is None)
    if region is not None:
        section = section._replace(mask=region.expand(len(section.label), *region.shape))
    samples = training_samples(parser, section)
    parser["train#cached_dataset"] = samples
    parser.get_parsed_content("initialize")  # the seed
    trainer = parser.get_parsed_content("train#trainer")
    judge = Judge(parser.get_parsed_content("network"), normalizer(parser), N_SWAPS, budget.judged)
    validation = Validation(judge, load(cohort(strength, budget), "validation", budget.image_size))
    stopwatch = Stopwatch()
    for handler in (stopwatch, validation):
        handler.attach(trainer)
    set_track_meta(False)  # the same numbers in two thirds of the time
    try:
        trainer.run()
    finally:
        set_track_meta(True)
    return Training(judge, validation, stopwatch.seconds)


def run(name: str, seed: int, strength: float = 0.95, budget: Budget = Budget()) -> Row:
    """Train and judge one method once; the strength is the share of clips whose overlay names their own view."""
    trained = train(METHODS[name], seed, CHANCE if name == "unbiased" else strength, strength, budget)
    folder = cohort(strength, budget)
    return judged(trained, {s: load(folder, f"test_{s}", budget.image_size, s == "same") for s in SPLITS})


def remarks(rows: Rows) -> str:
    """Whether the testbed counts, what choosing the epoch by another rule would have given, what the data are."""
    return f"{verdict.remarks(TESTBED, rows)}\n\n{NATURE}"


TESTBED = Testbed(
    name="echo_demo",
    methods=METHODS,
    main=MAIN,
    splits=SPLITS,
    groups=GROUPS,
    axes=AXES,
    budget=Budget(),
    quick=QUICK,
    run=run,
    remarks=remarks,
    strengths=(0.8, 0.95, 1.0),
    strength="share of the training clips whose overlay names their own view",
    gap=0.2,
)
