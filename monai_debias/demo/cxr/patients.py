# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How virtual patients differ from the one whose CT it is: sizes, posture, heart, diaphragm, bones.

A warp is smooth and stays small: with stronger ones the spine looks scoliotic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from monai_debias.demo.cxr.chest_ct import ChestCT, Field

__all__ = ["Patient", "draw_patient", "to_ct"]

_BEND = (5.0, 4.0, 3.0)  # mm, standard deviation of the smooth displacement along (z, y, x)
_HEART_SIZE, _DIAPHRAGM_SIZE = (62.0, 62.0, 70.0), 50.0  # mm, how far their changes reach


class Patient(NamedTuple):
    """What makes a patient.

    Attributes:
        scale: size along (z, y, x) relative to the patient of the CT.
        rotation: turn about the long axis in degrees: the film was not taken quite straight.
        tilt: lean to the front in degrees.
        heart: by how much the heart is larger.
        diaphragm: by how much it stands higher, in mm: a breath that was less deep.
        bone: density of the bones relative to the patient of the CT.
        bend: smooth displacement along (z, y, x) in mm on a lattice of y, z and x over the chest, (3, 4, 5, 4).
    """

    scale: tuple[float, float, float]
    rotation: float
    tilt: float
    heart: float
    diaphragm: float
    bone: float
    bend: Field


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient, independently of the finding; see :class:`Patient`."""
    size = rng.uniform(0.92, 1.06)
    bend = rng.standard_normal((3, 4, 5, 4), dtype=np.float32) * np.array(_BEND, np.float32)[:, None, None, None]
    bend[2] = bend[2].mean(1, keepdims=True)  # sideways the same for all heights, or the spine is crooked
    return Patient(
        scale=(size * rng.uniform(0.95, 1.04), size * rng.uniform(0.88, 1.15), size * rng.uniform(0.95, 1.06)),
        rotation=float(np.clip(rng.normal(0, 2.5), -6, 6)),
        tilt=float(np.clip(rng.normal(0, 2.5), -6, 6)),
        heart=rng.uniform(-0.15, 0.22),
        diaphragm=float(np.clip(rng.normal(2, 8), -14, 18)),
        bone=rng.uniform(0.6, 1.1),
        bend=bend,
    )


def to_ct(points: NDArray[np.float64], patient: Patient, chest: ChestCT) -> NDArray[np.float64]:
    """Map points of a patient to those of the CT that show the same place.

    Args:
        points: z, y and x in mm from the middle of the lungs, on a lattice that covers the film; (3, y, rows, columns).
        patient: whose points they are.
        chest: the CT.

    Returns:
        z, y and x in mm from the first voxel of the CT, same shape.
    """
    z, y, x = points
    turn, lean = np.radians(patient.rotation), np.radians(patient.tilt)
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    z, y = np.cos(lean) * z - np.sin(lean) * y, np.sin(lean) * z + np.cos(lean) * y
    found = np.stack([z, y, x]) / np.reshape(patient.scale, (3, 1, 1, 1)) + _column(chest.lungs.mean(0))
    bend = torch.from_numpy(patient.bend)[None]
    found += F.interpolate(bend, points.shape[1:], mode="trilinear", align_corners=True)[0].numpy()
    from_heart = found - _column(chest.heart)
    near = np.exp(-((from_heart / _column(_HEART_SIZE)) ** 2).sum(0))
    found -= from_heart * patient.heart * near
    below = (found[0] - chest.lungs[1, 0] + 14) / _DIAPHRAGM_SIZE
    found[0] += patient.diaphragm * np.exp(-(below**2))
    return found


def _column(values: object) -> NDArray[np.float64]:
    return np.reshape(np.asarray(values, np.float64), (3, 1, 1, 1))
