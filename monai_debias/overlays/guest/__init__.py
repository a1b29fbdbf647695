# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Guests: bundles that know nothing of this package, and what the overlays need from them."""

from __future__ import annotations

from monai_debias.overlays.guest.each_image import EachImage
from monai_debias.overlays.guest.parts import GuestParts
from monai_debias.overlays.guest.sockets import guest_sockets
from monai_debias.overlays.guest.stages import stage_names
from monai_debias.overlays.guest.write import write_sockets

__all__ = ["EachImage", "GuestParts", "guest_sockets", "stage_names", "write_sockets"]
