# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the twelve leads see of the heart's dipole.

Dower, Machado & Osborne, "On deriving the electrocardiogram from vectorcardiographic leads", Clin. Cardiol. 3:87–95
(1980): each lead is a weighted sum of Frank's X, Y and Z. Four of the limb leads follow from I and II by Einthoven's
and Goldberger's equations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DOWER", "LEADS", "MEASURED", "twelve_leads"]

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""Names of the leads, in the order of the files."""

MEASURED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""Those that the others follow from."""

DOWER = np.array(
    [
        (0.632, -0.235, 0.059),
        (0.235, 1.066, -0.132),
        (-0.515, 0.157, -0.917),
        (0.044, 0.164, -1.387),
        (0.882, 0.098, -1.277),
        (1.213, 0.127, -0.601),
        (1.125, 0.127, -0.086),
        (0.831, 0.076, 0.230),
    ]
)
"""Dower's matrix: rows are the measured leads, columns the Frank axes X (left), Y (feet) and Z (back)."""


def twelve_leads(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the four leads that follow from I and II.

    Args:
        measured: the leads of ``MEASURED``, (8, samples).

    Returns:
        The leads of ``LEADS``, (12, samples).

    Example:
        >>> twelve_leads(np.array([[1.0], [1.5], *[[0.0]] * 6]))[:6, 0]
        array([ 1.  ,  1.5 ,  0.5 , -1.25,  0.25,  1.  ])
    """
    one, two = measured[:2]
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *measured[2:]])
