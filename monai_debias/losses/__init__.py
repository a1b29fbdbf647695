# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses that fight shortcuts, and the weights around any loss."""

from __future__ import annotations

from monai_debias.losses.background_consistency import BackgroundConsistencyLoss
from monai_debias.losses.heatmap import background_loss, foreground_loss
from monai_debias.losses.isnet import ISNetLRPLoss
from monai_debias.losses.mixup import MixupLoss
from monai_debias.losses.nested import nested_loss
from monai_debias.losses.ranks import rank_pooling
from monai_debias.losses.spectral_decoupling import SpectralDecouplingLoss
from monai_debias.losses.task_loss import TaskLoss
from monai_debias.losses.weighted import SampleWeightedLoss

__all__ = [
    "BackgroundConsistencyLoss",
    "ISNetLRPLoss",
    "MixupLoss",
    "SampleWeightedLoss",
    "SpectralDecouplingLoss",
    "TaskLoss",
    "background_loss",
    "foreground_loss",
    "nested_loss",
    "rank_pooling",
]
