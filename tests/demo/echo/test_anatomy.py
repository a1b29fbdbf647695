# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from monai_debias.demo.echo.anatomy import anatomy
from monai_debias.demo.echo.heart import Heart, beat_at


def test_chambers_are_where_they_belong():
    def level(view, x, y):
        at = np.full((1, 1), x, np.float32), np.full((1, 1), y, np.float32)
        return float(anatomy(view, *at, Heart(), beat_at(0.0))[0, 0])

    blood, muscle = -25, -5
    assert level("PLAX", -2, 7.3) < blood  # left ventricle
    assert level("PLAX", 4, 6) < blood  # aorta
    assert level("PLAX", 3, 9.5) < blood  # left atrium
    assert level("PSAX", 0.7, 7) < blood  # left ventricle
    assert level("PSAX", -2.5, 5.8) < blood  # right ventricle
    assert level("PSAX", 0.7 + 2.8, 7.6) > muscle  # lateral wall
    assert level("A4C", 1.5, 7) < blood  # left ventricle
    assert level("A4C", -2.2, 7.5) < blood  # right ventricle
    assert level("A4C", 2, 12.2) < blood  # left atrium
    assert level("A4C", -2.3, 12) < blood  # right atrium
    assert level("A2C", 0, 7) < blood  # left ventricle
    assert level("A2C", 0.4, 12.2) < blood  # left atrium
    assert level("A2C", -4.5, 7.5) > blood  # no right ventricle
