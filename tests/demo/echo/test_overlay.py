# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from monai_debias.demo.echo.anatomy import VIEWS
from monai_debias.demo.echo.overlay import draw_screen, overlay_frames
from monai_debias.demo.echo.scanners import SCANNERS, draw_sector
from monai_debias.demo.echo.sector import ScanConverter, Sector


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.model)
def test_cue_keeps_its_distance_from_every_sector(scanner):
    rng = np.random.default_rng(0)
    for _ in range(12):
        sector = draw_sector(scanner, rng)
        screen = draw_screen(16, 0.3, 70, 100, rng)
        pictures = [overlay_frames(scanner, sector, screen, view, 1)[0].astype(int) for view in VIEWS]
        cue = np.max([np.abs(a - b).max(axis=-1) for a in pictures for b in pictures], axis=0) > 0
        near = binary_dilation(ScanConverter(sector).mask, iterations=8)
        assert cue.sum() > 500
        assert not (cue & near).any()


def test_unknown_cue():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="cue is 'A3C', expected"):
        overlay_frames(SCANNERS[0], Sector(), draw_screen(16, 0, 70, 100, rng), "A3C", 1)
