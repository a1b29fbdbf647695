# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_debias.demo.echo.scanners import SCANNERS
from monai_debias.demo.echo.sector import ScanConverter, Sector


@pytest.mark.parametrize("corner", [min, max])
@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.model)
def test_extreme_sectors_fit_the_picture(scanner, corner):
    for column in scanner.apex_column:
        sector = Sector(240, 320, corner(scanner.apex_row), column, corner(scanner.radius), corner(scanner.half_angle))
        assert ScanConverter(sector).mask.sum() > 10_000
