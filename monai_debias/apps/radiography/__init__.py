# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Radiographs: films of every maker and format in one grey scale, and the public cohorts of chest radiographs."""

from __future__ import annotations

from monai_debias.apps.radiography.cohorts.build import build_chest_datalist
from monai_debias.apps.radiography.reader import RadiographReader

__all__ = ["RadiographReader", "build_chest_datalist"]
