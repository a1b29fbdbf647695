# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How virtual echo patients differ: their hearts, how well they can be scanned, and how each clip was taken.

The ranges decide how hard the demo cohort is. They were chosen, on other seeds than the default one, so that a
classifier which sees the sector only is right in about 19 of 20 clips. Nothing here knows which view is being taken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monai_debias.demo.echo.heart import Heart

__all__ = ["Pose", "Window", "draw_heart", "draw_pose", "draw_window"]


class Window(NamedTuple):
    """How well this patient can be scanned, and how the scanner is set.

    Attributes:
        gain: overall gain in dB.
        dynamic_range: dB between black and white.
        gamma: exponent of the grey map.
        beam_width: standard deviation of the beam in units of beams.
        attenuation: uncompensated loss towards the deepest sample in dB.
        haze: level of the near-field clutter in dB relative to myocardium.
        noise: level of the electronic noise at the deepest sample in dB relative to myocardium.
        patchiness: standard deviation of the uneven echogenicity in dB.
        artefacts: number of bright arcs that belong to no structure (reverberations, side lobes, pleura).
        shadows: for each shadow its centre and half-width (share of the sector's half-angle), the depth where it begins
            (share of the depth) and its strength in dB.
    """

    gain: float
    dynamic_range: float
    gamma: float
    beam_width: float
    attenuation: float
    haze: float
    noise: float
    patchiness: float
    artefacts: int
    shadows: tuple[tuple[float, float, float, float], ...]


class Pose(NamedTuple):
    """How this clip's plane lies in the patient and in the cycle.

    Attributes:
        shift: movement of the heart to the right and downwards in cm.
        rotation: rotation of the heart in the picture in degrees.
        scale: size of the heart in the picture; across and along the beam (below 1 = foreshortened).
        basal: level of the short-axis cut, see :func:`~monai_debias.demo.echo.anatomy.anatomy`.
        depth: depth of the deepest sample in cm.
        phase: phase of the first frame in the cardiac cycle.
        heart_rate: beats per minute.
    """

    shift: tuple[float, float]
    rotation: float
    scale: tuple[float, float]
    basal: float
    depth: float
    phase: float
    heart_rate: float


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draw a patient's heart: sizes, wall thickness, contraction, contrast; see :class:`Heart`."""
    return Heart(
        wall=rng.uniform(0.7, 1.4),
        ventricle=rng.uniform(0.75, 1.2),
        right=rng.uniform(0.75, 1.2),
        atrium=rng.uniform(0.7, 1.25),
        ejection=rng.uniform(0.12, 0.36),
        blood=rng.uniform(-32.0, -18.0),
        tissue=rng.uniform(-15.0, -4.0),
    )


def draw_window(rng: np.random.Generator) -> Window:
    """Draw a patient's acoustic window and the scanner's settings: from good to poor."""
    poor = rng.uniform(0.05, 0.75)  # 0 = ideal window, 1 = hopeless
    shadows = [
        (-1.0, rng.uniform(0.0, 0.2 + 0.35 * poor), rng.uniform(0.0, 0.3), rng.uniform(8, 25)),
        (1.0, rng.uniform(0.0, 0.2 + 0.35 * poor), rng.uniform(0.0, 0.3), rng.uniform(8, 25)),
    ]
    if rng.random() < 0.2 + 0.5 * poor:  # a rib or a piece of lung in the way
        shadows.append((rng.uniform(-0.8, 0.8), rng.uniform(0.05, 0.12 + 0.12 * poor), 0.0, rng.uniform(6, 20)))
    return Window(
        gain=rng.uniform(-3, 4) - 7 * poor,
        dynamic_range=rng.uniform(46, 58),
        gamma=rng.uniform(1.4, 1.9),
        beam_width=1.1 + 1.2 * poor + rng.uniform(0, 0.4),
        attenuation=rng.uniform(0, 4) + 6 * poor,
        haze=rng.uniform(-16, -8) + 8 * poor,
        noise=rng.uniform(-44, -34) + 8 * poor,
        patchiness=rng.uniform(4, 6) + 3 * poor,
        artefacts=int(rng.integers(1, 3 + round(5 * poor))),
        shadows=tuple(shadows),
    )


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw how one clip was taken, the same way for each view; see :class:`Pose`."""
    size = rng.uniform(0.85, 1.1)
    return Pose(
        shift=(rng.uniform(-1.5, 1.5), rng.uniform(-0.8, 1.2)),
        rotation=rng.uniform(-22, 22),
        scale=(size * rng.uniform(0.9, 1.1), size * rng.uniform(0.75, 1.05)),
        basal=rng.uniform(0, 1),
        depth=rng.uniform(14.0, 18.0),
        phase=rng.uniform(0, 1),
        heart_rate=rng.uniform(55, 95),
    )
