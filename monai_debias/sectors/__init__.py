# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Sector masks as files: found once for a data set, checked by eye, mended by hand, and then trained with."""

from __future__ import annotations

from monai_debias.sectors.command import sectors
from monai_debias.sectors.masks import SectorRow, find_sector_masks

__all__ = ["SectorRow", "find_sector_masks", "sectors"]
