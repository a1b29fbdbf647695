# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks whose shortcut is known, and images for them: a finding in the middle, a mark in a corner, and a tag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Network = Callable[[torch.Tensor], torch.Tensor]


def make_items(
    n: int, bias: float = 0.9, per_patient: int = 1, seed: int = 0, noise: float = 0.4
) -> list[dict[str, Any]]:
    """Images (1, 16, 16) of two classes: the middle is as bright as the class, and noise; the corner as the mark.

    The mark is the class in the share ``bias`` of the patients, and the scanner has its name. Half of the images are of
    each class; a patient has one class.
    """
    rng = np.random.default_rng(seed)
    items = []
    for i in range(n):
        patient = i // per_patient
        own = np.random.default_rng([seed, patient])
        label = patient % 2
        mark = label if own.random() < bias else 1 - label
        image = np.full((1, 16, 16), 0.25, dtype=np.float32)
        image[:, 4:12, 4:12] = 0.3 + 0.4 * label + 0.4 * (own.normal() + rng.normal())
        image[:, 14:, 14:] = 0.2 + 0.6 * mark
        mask = np.zeros((1, 16, 16), dtype=np.uint8)
        mask[:, 3:13, 3:13] = 1
        items.append(
            {
                "image": torch.from_numpy(image),
                "mask": torch.from_numpy(mask),
                "label": label,
                "patient_id": f"p{patient}",
                "scanner": ["A", "B"][mark],
            }
        )
    return items


def looks_at(middle: float, corner: float) -> Network:
    """A network whose log-odds are a weighted sum of what is in the middle and what is in the corner."""

    def network(x: torch.Tensor) -> torch.Tensor:
        z = middle * (x[..., 4:12, 4:12].mean((1, 2, 3)) - 0.5) + corner * (x[..., 14:, 14:].mean((1, 2, 3)) - 0.5)
        return torch.stack([-z / 2, z / 2], 1)

    return network
