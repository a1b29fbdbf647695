# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The rays from the tube through a patient to the film: what each of them meets on its way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from scipy import ndimage

from monai_debias.constraints import Instance, Integer
from monai_debias.demo.cxr.chest_ct import LEFT, RIGHT, TISSUE, ChestCT, Field
from monai_debias.demo.cxr.patients import Patient, to_ct
from monai_debias.parameters import expects

__all__ = ["Rays", "project"]

_STEPS, _LATTICE = 80, (14, 22, 22)  # samples along a ray; points (y, z, x) where the warp is computed
_TUBE = 1800.0  # mm from the film, which touches the chest from the front
_LUNG = 20.0  # mm of lung that a ray meets inside the mask


class Rays(NamedTuple):
    """A patient between tube and film. Rows run down, columns from the patient's right to the left.

    The volumes have half the film's size and half the samples along a ray, y from the back to the front; their axes
    are (y, rows, columns).

    Attributes:
        attenuation: of all that a ray meets, (size, size), without unit.
        mask: 1 where it meets at least 20 mm of lung, (size, size), uint8.
        missing: attenuation per mm that a place in the lung lacks to be as dense as soft tissue, 0 outside.
        lobes: as in :class:`~monai_debias.demo.cxr.chest_ct.ChestCT`.
        depth: distance to the surface of the lung in mm, 0 outside.
        height: 0 at the top of the lungs, 1 at their lowest place.
        spacing: mm between neighbours of the volumes along (y, rows, columns).
        pixel: mm between pixels of the film.
    """

    attenuation: Field
    mask: NDArray[np.uint8]
    missing: Field
    lobes: NDArray[np.uint8]
    depth: Field
    height: Field
    spacing: tuple[float, float, float]
    pixel: float


@expects(
    chest=Instance(ChestCT),
    patient=Instance(Patient),
    rng=Instance(np.random.Generator),
    size=Integer("[32, inf)"),
)
def project(chest: ChestCT, patient: Patient, rng: np.random.Generator, size: int = 224) -> Rays:
    """Send rays through a patient onto a square film.

    Args:
        chest: the CT.
        patient: how the patient differs from that of the CT.
        rng: draws how the film was placed.
        size: rows and columns of the film, an even number.

    Raises:
        ValueError: when ``size`` is below 32 or odd.

    Example:
        >>> from monai_debias.demo.cxr.chest_ct import load_chest_ct
        >>> from monai_debias.demo.cxr.patients import draw_patient
        >>> rng = np.random.default_rng(0)
        >>> rays = project(load_chest_ct(), draw_patient(rng), rng, size=64)
        >>> rays.attenuation.shape, rays.missing.shape
        ((64, 64), (40, 32, 32))
    """
    if size % 2:
        raise ValueError(f"size is {size}, expected an even number.")
    height = float(np.ptp(chest.lungs[:, 0])) * patient.scale[0]
    half = height / 2 * rng.uniform(1.2, 1.32)
    top = -height / 2 - rng.uniform(16, 30)  # above it the CT ends
    across = rng.uniform(-8, 8)
    thick = chest.soft.shape[1] * chest.spacing[1] * patient.scale[1]
    y = np.linspace(-thick / 2, thick / 2, _LATTICE[0])
    rows, columns = np.linspace(top, top + 2 * half, _LATTICE[1]), np.linspace(-half, half, _LATTICE[2]) + across
    nearer = (_TUBE - (y.max() - y)) / _TUBE  # places nearer to the tube are enlarged on the film
    points = np.stack(
        np.broadcast_arrays(rows[:, None] * nearer[:, None, None], y[:, None, None], columns * nearer[:, None, None])
    )
    places = to_ct(points, patient, chest)  # mm in the CT, (3, y, rows, columns)

    step = thick / _STEPS
    grid = _grid(places, chest, (_STEPS, size, size))
    soft, bone = _sample([chest.soft, chest.bone], grid).sum(1) * step
    coarse = _grid(places, chest, (_STEPS // 2, size // 2, size // 2))
    left, right = (np.isin(chest.lobes, side).astype(np.float32) for side in (LEFT, RIGHT))
    missing = np.clip(TISSUE - chest.soft - chest.bone, 0, None) * (left + right)
    missing, depth, *sides = _sample([missing, chest.depth, left, right], coarse)
    lobes = _sample([chest.lobes.astype(np.float32)], coarse, "nearest")[0]
    lengths = torch.stack(sides).sum(1)[None] * 2 * step
    left, right = F.interpolate(lengths, (size, size), mode="bilinear")[0].numpy()
    down = (coarse[0, ..., 2].numpy() + 1) / 2 * (chest.soft.shape[0] - 1) * chest.spacing[0]
    pixel = 2 * half / (size - 1)
    return Rays(
        attenuation=(soft + patient.bone * bone).numpy(),
        mask=_two_lungs(left, right),
        missing=missing.numpy(),
        lobes=lobes.numpy().astype(np.uint8),
        depth=depth.numpy(),
        height=((down - chest.lungs[0, 0]) / np.ptp(chest.lungs[:, 0])).astype(np.float32),
        spacing=(2 * step, 2 * pixel, 2 * pixel),
        pixel=pixel,
    )


def _grid(places: NDArray[np.float64], chest: ChestCT, shape: tuple[int, int, int]) -> torch.Tensor:
    """Places between those of the lattice as torch's grid_sample takes them: (1, *shape, 3), x first, in [-1, 1]."""
    last = (np.array(chest.soft.shape) - 1) * chest.spacing
    unit = torch.from_numpy((2 * places / last[:, None, None, None] - 1).astype(np.float32))
    fine = F.interpolate(unit[None].flip(1), shape, mode="trilinear", align_corners=True)
    return fine.permute(0, 2, 3, 4, 1)


def _sample(volumes: list[Field], grid: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Values of volumes (z, y, x) at the places of a grid; what lies outside repeats the border."""
    stacked = torch.from_numpy(np.stack(volumes))[None]
    return F.grid_sample(stacked, grid, mode=mode, padding_mode="border", align_corners=True)[0]


def _two_lungs(left: Field, right: Field) -> NDArray[np.uint8]:
    """Where a ray meets enough of a lung, as two pieces without holes that do not touch."""
    one = _largest((left > _LUNG) & (left >= right))
    other = (right > _LUNG) & ~ndimage.binary_dilation(one, np.ones((3, 3)))
    return (one | _largest(other)).astype(np.uint8)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(pieces == sizes.argmax())
