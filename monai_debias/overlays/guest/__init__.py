# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Guests: bundles that were not made for this package, and what the overlays need from them (``docs/guests.md``)."""

from __future__ import annotations

from monai_debias.overlays.guest.each_image import EachImage
from monai_debias.overlays.guest.stages import stage_names

__all__ = ["EachImage", "stage_names"]
