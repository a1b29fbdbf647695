# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How hearts and chests differ: size, position, the shape of each wave, and where the electrodes are.

All records of a patient have the same heart; the electrodes are put on anew for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from monai_debias.demo.ecg.leads import DOWER
from monai_debias.demo.ecg.waves import ATRIA, PREMATURE, QRS, T_WAVES, Wave

__all__ = ["Patient", "draw_patient", "place_electrodes"]

_TURN = 10.0  # degrees, standard deviation about each axis
_SIZE = 0.2  # of the logarithm of all amplitudes: walls of the heart, fat over it
_CHEST, _PLACEMENT = 0.06, 0.04  # of the entries of Dower's matrix: of chests, and of the same electrodes another time


class Patient(NamedTuple):
    """What makes a patient.

    Attributes:
        leads: what each measured lead sees of the dipole, (8, 3): size, position and chest in one.
        atria: the P wave.
        qrs: the ventricles, by conduction.
        t_wave: their recovery, by conduction.
        premature: a premature beat, which has one focus.
    """

    leads: NDArray[np.float64]
    atria: tuple[Wave, ...]
    qrs: Mapping[str, tuple[Wave, ...]]
    t_wave: Mapping[str, Wave]
    premature: tuple[Wave, ...]


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient, independently of every finding; see :class:`Patient`."""
    turn = Rotation.from_rotvec(rng.normal(0, _TURN, 3), degrees=True).as_matrix()
    chest = DOWER + rng.normal(0, _CHEST, DOWER.shape)
    focus = rng.normal(0, 1, 3) - (0.5, 0, 0)  # often the right ventricle
    focus /= np.linalg.norm(focus)
    premature = [wave._replace(vector=tuple(focus * wave.vector)) for wave in _vary(PREMATURE, rng)]
    return Patient(
        leads=chest @ turn * np.exp(rng.normal(0, _SIZE)),
        atria=_vary(ATRIA, rng),
        qrs={name: _vary(waves, rng) for name, waves in QRS.items()},
        t_wave={name: _vary([wave], rng, 0.35)[0] for name, wave in T_WAVES.items()},
        premature=tuple(premature),
    )


def place_electrodes(patient: Patient, rng: np.random.Generator) -> NDArray[np.float64]:
    """Put the electrodes on: what each measured lead sees of the dipole in one record, (8, 3)."""
    return patient.leads + rng.normal(0, _PLACEMENT, DOWER.shape)


def _vary(waves: Sequence[Wave], rng: np.random.Generator, spread: float = 0.16) -> tuple[Wave, ...]:
    """Waves of another heart: all a little earlier or later, wider, and each with another vector."""
    late, wide = np.exp(rng.normal(0, 0.04)), np.exp(rng.normal(0, 0.06))
    return tuple(
        Wave(time * late, rise * wide, fall * wide, tuple(np.array(vector) * np.exp(rng.normal(0, spread, 3))))
        for time, rise, fall, vector in waves
    )
