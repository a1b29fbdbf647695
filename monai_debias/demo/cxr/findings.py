# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a disease puts into the lung, as attenuation that the rays meet in addition.

Everything is placed in three dimensions, in the lung, before the projection: what lies behind the heart or a rib is as
hard to see as in a patient. Findings are drawn from subtle to plain.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from monai_debias.constraints import Instance, OneOf
from monai_debias.demo.cxr.chest_ct import LEFT, RIGHT, Field
from monai_debias.demo.cxr.projection import Rays
from monai_debias.parameters import expects

__all__ = ["TASKS", "finding"]

TASKS = {"covid": ("normal", "covid19", "pneumonia"), "tb": ("normal", "tuberculosis")}
"""Classes of each task, in the order of their labels."""


@expects(
    name=OneOf(*sorted({name for names in TASKS.values() for name in names})),
    rays=Instance(Rays),
    rng=Instance(np.random.Generator),
)
def finding(name: str, rays: Rays, rng: np.random.Generator) -> Field:
    """Draw a finding and return what it adds to the attenuation of each ray.

    ====================  ===========================================================================================
    ``name``              what it is
    ====================  ===========================================================================================
    ``"normal"``          nothing
    ``"covid19"``         ground glass in both lungs, in patches along the pleura, more often in the lower half
    ``"pneumonia"``       one dense consolidation that ends at the border of its lobe
    ``"tuberculosis"``    nodules and a faint infiltrate in the upper quarter of one or both lungs, often with a cavity
    ====================  ===========================================================================================

    Args:
        name: class of the film.
        rays: the patient.
        rng: decides where, how large and how dense.

    Returns:
        (size, size), without unit, at least 0.

    Raises:
        ValueError: when there is no such class.

    Example:
        >>> from monai_debias.demo.cxr.chest_ct import load_chest_ct
        >>> from monai_debias.demo.cxr.patients import draw_patient
        >>> from monai_debias.demo.cxr.projection import project
        >>> rng = np.random.default_rng(0)
        >>> rays = project(load_chest_ct(), draw_patient(rng), rng, size=64)
        >>> float(finding("normal", rays, rng).max())
        0.0
        >>> bool(finding("pneumonia", rays, rng).max() > 0.1)
        True
    """
    return np.zeros_like(rays.attenuation) if name == "normal" else _PAINTERS[name](rays, rng)


def _ground_glass(rays: Rays, rng: np.random.Generator) -> Field:
    """Three to six patches in each lung."""
    filled = np.zeros_like(rays.missing)
    opacity = rng.uniform(0.45, 0.85)
    for side in (LEFT, RIGHT):
        near_pleura = np.isin(rays.lobes, side) & (rays.depth > 3) & (rays.depth < 20)
        weight = near_pleura * (0.25 + np.clip(rays.height, 0, 1))
        for _ in range(rng.integers(3, 7)):
            place = _place(weight, rng)
            filled = np.maximum(filled, _patch(rays, place, rng.uniform(20, 40), rng) * rng.uniform(0.6, 1) * opacity)
    return _project(filled, rays)


def _consolidation(rays: Rays, rng: np.random.Generator) -> Field:
    """One patch that fills a part of a lobe."""
    lobe = rays.lobes == rng.choice([*LEFT, *RIGHT])
    place = _place(lobe * (rays.depth > 8), rng)
    return _project(_patch(rays, place, rng.uniform(30, 55), rng) * lobe * rng.uniform(0.6, 1), rays)


def _tuberculosis(rays: Rays, rng: np.random.Generator) -> Field:
    """A faint patch with nodules around it, and a cavity in two of three patients; one or both apices."""
    added = np.zeros_like(rays.attenuation)
    sides = [LEFT, RIGHT] if rng.random() < 0.3 else [(LEFT, RIGHT)[rng.integers(2)]]
    for side in sides:
        apex = np.isin(rays.lobes, side) & (rays.height < 0.27)
        place = _place(apex * (rays.depth > 9), rng)
        added += _project(_patch(rays, place, rng.uniform(20, 36), rng) * rng.uniform(0.45, 0.9), rays)
        for _ in range(rng.integers(6, 14)):
            added += _ball(rays, _place(apex * (rays.depth > 5), rng), rng.uniform(3, 7), rng.uniform(0.85, 1.2, 2))
        if rng.random() < 0.65:
            radius = rng.uniform(9, 17)
            middle, shape = _place(apex * (rays.depth > 12), rng), rng.uniform(0.85, 1.2, 2)
            added += _ball(rays, middle, radius, shape) - _ball(rays, middle, radius - rng.uniform(3, 6), shape)
    return np.clip(added, 0, None)


_PAINTERS = {"covid19": _ground_glass, "pneumonia": _consolidation, "tuberculosis": _tuberculosis}


def _place(weight: NDArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """A voxel (y, row, column), drawn in proportion to a weight."""
    total = np.cumsum(weight, dtype=np.float64)
    return np.array(np.unravel_index(np.searchsorted(total, rng.uniform(0, total[-1])), weight.shape))


def _patch(rays: Rays, place: NDArray[np.int64], radius: float, rng: np.random.Generator) -> Field:
    """A cloud with an irregular, soft border: 0 to 1, (y, rows, columns)."""
    noise = torch.from_numpy(rng.standard_normal((1, 1, 8, 13, 13), dtype=np.float32))
    rough = F.interpolate(noise, rays.missing.shape, mode="trilinear", align_corners=True)[0, 0].numpy()
    radii = radius * rng.uniform(0.75, 1.3, 3)
    y, rows, columns = (
        ((np.arange(n, dtype=np.float32) - at) * np.float32(mm / r)) ** 2
        for n, at, mm, r in zip(rays.missing.shape, place, rays.spacing, radii, strict=True)
    )
    distance = np.sqrt(y[:, None, None] + rows[:, None] + columns)
    return 1 / (1 + np.exp(7 * (distance - 1 - np.float32(0.28) * rough)))


def _project(filled: Field, rays: Rays) -> Field:
    """Attenuation that the rays meet where a share of the air is replaced by fluid."""
    added = torch.from_numpy((rays.missing * filled).sum(0) * np.float32(rays.spacing[0]))
    return F.interpolate(added[None, None], rays.attenuation.shape, mode="bilinear")[0, 0].numpy()


def _ball(rays: Rays, place: NDArray[np.int64], radius: float, stretch: NDArray[np.float64]) -> Field:
    """A ball as dense as soft tissue, stretched along rows and columns: what the rays meet inside it."""
    rows, columns = (
        (np.arange(size, dtype=np.float32) - (2 * at + 0.5)) * (rays.pixel / by)
        for size, at, by in zip(rays.attenuation.shape, place[1:], stretch, strict=True)
    )
    inside = radius**2 - rows[:, None] ** 2 - columns**2
    return (2 * np.sqrt(np.clip(inside, 0, None)) * rays.missing[tuple(place)]).astype(np.float32)
