# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From attenuation to the picture on the screen: scatter, quantum noise, blur, and the processing of the maker."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_debias.demo.cxr.chest_ct import Field
from monai_debias.demo.cxr.scanners import Exposure, Scanner

__all__ = ["expose"]

_HARDENING = 0.62  # a beam of many energies is absorbed less than its mean energy says
_SCATTER = 0.035  # scattered share of the open beam, behind a grid
_SPREAD = 45.0  # mm over which scatter spreads
_FINE = 4.0  # mm, structures smaller than this are sharpened
_BAND = 85.0  # mm, structures larger than this are flattened


def expose(attenuation: Field, pixel: float, scanner: Scanner, exposure: Exposure, rng: np.random.Generator) -> Field:
    """Take a film.

    Args:
        attenuation: of each ray, (rows, columns).
        pixel: mm between pixels.
        scanner: its detector and processing.
        exposure: how this film was exposed.
        rng: source of the noise.

    Returns:
        (rows, columns), in [0, 1], 0 = black = air.
    """
    rays = np.exp(-_HARDENING * exposure.thickness * attenuation)
    rays = rays + _SCATTER * ndimage.uniform_filter(rays, max(1, round(_SPREAD / pixel)))
    rays = ndimage.gaussian_filter(rays, scanner.blur / pixel)
    counts = rng.poisson(rays * exposure.dose * pixel**2)  # photons per mm² of the open beam
    density = -np.log(np.maximum(counts, 1) / (exposure.dose * pixel**2))
    density -= scanner.flatten * ndimage.uniform_filter(density, max(1, round(_BAND / pixel)), mode="reflect")
    density += scanner.sharpen * (density - ndimage.gaussian_filter(density, _FINE / pixel))
    dark, bright = np.quantile(density, (0.01, 0.99))
    return (np.clip((density - dark) / (bright - dark), 0, 1) ** exposure.gamma).astype(np.float32)
