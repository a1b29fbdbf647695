# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses that fight shortcuts, and the weights around any loss."""

from __future__ import annotations

from monai_debias.losses.weighted import SampleWeightedLoss

__all__ = ["SampleWeightedLoss"]
