# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of two splits with their predictions, for the tests of what writes files about them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

NAMES = ["PLAX", "PSAX", "A2C"]


def batches(n: int = 60, per_batch: int = 4) -> list[list[dict]]:
    """Samples of two splits and 15 patients, with the probabilities that a network would give them under "p"."""
    rng = np.random.default_rng(0)
    samples = [
        {
            "image": MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": f"/data/set/test/{i:03}.dcm"}),
            "label": torch.tensor(i % 3),
            "split": ["test_same", "test_reversed"][i % 2],
            "patient_id": f"secret-{i // 4}",
            "p": torch.as_tensor(rng.dirichlet(1 + 3 * np.eye(3)[i % 3])),
        }
        for i in range(n)
    ]
    return [samples[i : i + per_batch] for i in range(0, n, per_batch)]


def evaluate(handler, data: list[list[dict]]) -> None:
    engine = Engine(lambda engine, batch: [{"pred": sample["p"]} for sample in batch])
    handler.attach(engine)
    engine.run(data)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


FINDINGS = ["cyst", "stone", "tumour"]


def findings(n: int = 90) -> list[list[dict]]:
    """Samples of a validation and two test splits: "stone" has no positives in validation, some labels are missing."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(n):
        split = ["validation", "test_a", "test_b"][i % 3]
        label = np.array([rng.random() < 0.4, split != "validation" and rng.random() < 0.4, rng.random() < 0.4], float)
        p = (rng.random(3) + label) / 2
        label[2] = -1 if i % 5 == 0 else label[2]
        samples.append({"image": f"{i:03}.png", "label": torch.tensor(label), "split": split, "p": torch.tensor(p)})
        samples[-1]["patient_id"] = f"secret-{i // 6}"
    return [samples[i : i + 7] for i in range(0, n, 7)]
