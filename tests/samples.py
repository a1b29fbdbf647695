# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What examples and tests of public objects are made of: a network, a heatmap, small ultrasound, a data set on disk."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, list_data_collate
from monai.networks.nets import DenseNet
from pydicom.data import get_testdata_file

from monai_debias.data import save_datalist

CLIP_FILE = str(get_testdata_file("examples_ybr_color.dcm"))
VIEWS = ["A2C", "A4C"]

# two heatmaps, each of one map of one channel, and the masks that belong to them
HEATMAP = torch.linspace(-1, 2, 32).reshape(2, 1, 1, 4, 4)
MASK = torch.eye(4).expand(2, 1, 4, 4)
IMAGE = torch.linspace(0, 1, 128).reshape(2, 1, 8, 8)
# without clusters, so that k-means depends on its seed
FEATURES = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 1, 8, 8)))
# of 24 samples of 12 patients
LABELS = np.arange(24) % 2
PROBABILITIES = np.random.default_rng(0).dirichlet([1, 1], 24)
PATIENTS = [f"p{i // 2}" for i in range(24)]

NETWORK = {"_target_": "tests.samples.make_network"}


def make_network() -> torch.nn.Module:
    """A classifier of images of any size, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DenseNet(2, 1, len(VIEWS), init_features=4, growth_rate=2, block_config=(1,))


def four_logits() -> torch.nn.Module:
    """A network without weights."""
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())


def make_samples(kind: str, n: int) -> list[dict[str, Any]]:
    """Small ultrasound: a fan of moving speckle below a line of still text, a mask of the fan, a label, …

    Args:
        kind: ``"still"``, image and mask (1, 96, 128); ``"clip"``, both (1, 96, 128, 6); or ``"batch of stills"``,
            ``"batch of clips"``, four of them collated; ``"ecg"``, both (3, 1500), 500 samples per second.
        n: how many.
    """
    if kind == "ecg":
        return [copy.deepcopy(_make_ecg(i)) for i in range(n)]
    if kind.startswith("batch of "):
        return [list_data_collate(make_samples(kind[9:-1], 4)) for _ in range(n)]
    return [copy.deepcopy(_make_sample(kind, i)) for i in range(n)]


@cache
def _make_sample(kind: str, i: int) -> dict[str, Any]:
    rows, columns = np.mgrid[:96, :128]
    depth, angle = np.hypot(rows - 8, columns - 64), np.arctan2(columns - 64, rows - 8)
    fan = (depth > 4) & (depth < 84) & (abs(angle) < 0.7)
    frames = np.where(fan[..., None], np.random.default_rng(i).rayleigh(40, (96, 128, 6)), 0.0)
    frames[2:7, 2:40:2] = 100 + i  # burned-in text: bright, and the same in every frame
    image, mask = frames.clip(0, 255).astype(np.float32), np.repeat(fan[..., None], 6, axis=2).astype(np.uint8)
    sample: dict[str, Any] = {"label": i % 2, "patient_id": f"p{i // 2}", "split": "test", "use_mask": False}
    for key, array in (("image", image), ("mask", mask)):
        pixels = torch.from_numpy(np.ascontiguousarray(array[None] if kind == "clip" else array[None, ..., 0]))
        sample[key] = MetaTensor(pixels, meta={"filename_or_obj": f"{key}{i}"})
    return sample


@cache
def _make_ecg(i: int) -> dict[str, Any]:
    """Three seconds of beats in three leads; they end with padding."""
    phase = (np.arange(1500) / 500 * (1 + i / 10) + 0.5) % 1
    beats = np.exp(-0.5 * ((phase - 0.4) / 0.01) ** 2) + 0.2 * np.exp(-0.5 * ((phase - 0.7) / 0.05) ** 2)
    leads = beats * [[0.6], [1.0], [0.4]] + np.random.default_rng(i).normal(0, 0.01, (3, 1500))
    leads[:, 1400:] = 0
    meta = {"filename_or_obj": f"image{i}", "sampling_rate": 500.0}
    image = MetaTensor(torch.from_numpy(leads.astype(np.float32)), meta=meta)
    mask = MetaTensor((leads != 0).astype(np.uint8), meta={**meta, "filename_or_obj": f"mask{i}"})
    return {"image": image, "mask": mask, "label": i % 2, "patient_id": f"p{i // 2}", "split": "test"}


def make_items(n: int) -> list[dict[str, Any]]:
    """Items of a datalist, three for each patient, whose files are not there."""
    return [
        {"image": f"{i}.png", "mask": f"m{i}.png", "label": i % 2, "patient_id": f"p{i // 3}", "use_mask": True}
        for i in range(n)
    ]


def make_class_folders(folder: Path) -> str:
    """A data set with a folder of ten patients for each view, and its datalist."""
    sections: dict[str, list[dict[str, Any]]] = {"training": [], "test": []}
    for label, view in enumerate(VIEWS):
        (folder / view).mkdir(parents=True)
        for patient in range(10):
            file = folder / view / f"p{patient}_0.npy"
            np.save(file, np.full((4, 4), patient, dtype=np.uint8))
            item = {"image": str(file), "label": label, "patient_id": f"p{patient}"}
            sections["training" if patient < 5 else "test"].append(item)
    save_datalist(folder, sections, VIEWS, "")
    return str(folder)
