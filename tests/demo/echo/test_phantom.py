# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_debias.demo.echo.patients import draw_heart, draw_pose, draw_window
from monai_debias.demo.echo.phantom import render_clip
from monai_debias.demo.echo.sector import ScanConverter, Sector


def test_rendering_is_black_outside_and_refuses_nonsense():
    rng = np.random.default_rng(3)
    heart, window, pose, converter = draw_heart(rng), draw_window(rng), draw_pose(rng), ScanConverter(Sector())
    clip = render_clip("A2C", heart, window, pose, converter, rng, frames=2)
    assert clip.shape == (2, 240, 320)
    assert clip[:, converter.mask == 0].max() == 0
    assert (clip[0] != clip[1]).any()
    with pytest.raises(ValueError, match="view is 'A3C', expected"):
        render_clip("A3C", heart, window, pose, converter, rng)
    with pytest.raises(ValueError, match="frames is 0, expected"):
        render_clip("A2C", heart, window, pose, converter, rng, frames=0)
    with pytest.raises(ValueError, match="reaches beyond the picture"):
        ScanConverter(Sector(radius=400))
