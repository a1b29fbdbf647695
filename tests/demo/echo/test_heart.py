# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_debias.demo.echo.anatomy import anatomy
from monai_debias.demo.echo.heart import Heart, beat_at


def test_the_heart_contracts_in_systole():
    y, x = np.mgrid[2:14:120j, -6:6:120j].astype(np.float32)
    areas = {}
    for phase in (0.0, 0.35):
        areas[phase] = (anatomy("PSAX", x, y, Heart(right=0.01), beat_at(phase)) < -20).sum()
    assert areas[0.35] < 0.7 * areas[0.0]
    assert beat_at(0.2).aortic > 0.9
    assert beat_at(0.2).mitral == 0
    assert beat_at(0.55).mitral > 0.9
    assert beat_at(0.55).aortic == 0
    assert beat_at(1.3) == pytest.approx(beat_at(0.3))
