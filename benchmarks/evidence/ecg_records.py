# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ECG demo cohort for the testbeds: its records at 100 Hz as the package's reader gives them, and a small network.

Cohorts are kept in the folder ``benchmarks/cohorts``.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.networks.nets import ResNet
from monai.transforms import Compose, LoadImaged
from torch import nn

from benchmarks.evidence.cohorts import kept_cohort, kept_tensors
from benchmarks.parts import Parts
from monai_debias.apps.ecg import ECGReader, ResampleSignald
from monai_debias.data import load_datalist
from monai_debias.demo import build_ecg_cohort
from monai_debias.demo.ecg.findings import LABELS

RATE = 100  # Hz
CHANCE = 0.5  # a bias that is none
NATURE = (
    "The cohort is semi-synthetic: a moving dipole as twelve leads see it, no patients. What holds for it need "
    "not hold for a clinic's records."
)
STAGES = ("layer1", "layer2", "layer3", "layer4")


class Records(NamedTuple):
    """The records of a section."""

    image: torch.Tensor
    """(N, 12, 1000), mV, float32."""
    label: torch.Tensor
    """(N, 11), 0 and 1, float32."""
    mask: torch.Tensor
    """(N, 1, 1000), 1 where all leads show the heart, uint8."""

    def items(self) -> list[dict[str, Any]]:
        """For a data set."""
        return [dict(zip(self._fields, sample, strict=True)) for sample in zip(*self, strict=True)]


def cohort(bias: float, patients: tuple[int, int, int, int]) -> Path:
    """The folder of the cohort of a bias."""
    name = f"ecg_{'_'.join(map(str, patients))}_bias{bias:g}"
    options: dict[str, Any] = {"patients": patients, "sampling_rate": RATE, "workers": 1, "progress": False}
    return kept_cohort(name, lambda folder: build_ecg_cohort(folder, bias, **options))


@cache
def load(folder: Path, section: str) -> Records:
    """A section of a cohort."""
    return Records(*kept_tensors(folder / f"{section}.pt", lambda: read_records(folder, section)))


def read_records(folder: Path, section: str) -> Records:
    """Read the files of a section."""
    load_at_rate = Compose([LoadImaged("image", reader=ECGReader(), image_only=True), ResampleSignald("image", RATE)])
    items = load_datalist(folder, section)
    image = torch.stack([load_at_rate({"image": item["image"]})["image"].as_tensor() for item in items])
    mask = torch.zeros(len(items), 1, image.shape[2], dtype=torch.uint8)
    for row, item in zip(mask, items, strict=True):
        for start, end in item["valid"]:
            row[:, round(start * RATE) : round(end * RATE)] = 1
    return Records(image.float(), torch.stack([torch.as_tensor(item["label"]) for item in items]), mask)


def make_network() -> nn.Module:
    """MONAI's ResNet with a basic block in each of four stages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return ResNet(
            "basic",
            layers=[1, 1, 1, 1],
            block_inplanes=[32, 48, 64, 96],
            spatial_dims=1,
            n_input_channels=12,
            conv1_t_size=7,
            conv1_t_stride=2,
            num_classes=len(LABELS),
        )


def make_parts(samples: list[dict[str, Any]], seed: int) -> Parts:
    """The plain training, whose loss is for labels of their own."""
    return Parts(make_network(), STAGES, len(LABELS), samples, seed, nn.BCEWithLogitsLoss(reduction="none"))
