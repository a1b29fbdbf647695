# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Radiographs: films of every maker and format in one grey scale, with what the header says of the projection."""

from __future__ import annotations

from monai_debias.apps.radiography.reader import RadiographReader

__all__ = ["RadiographReader"]
