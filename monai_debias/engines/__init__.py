# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Preparation of batches for MONAI's trainers and evaluators."""

from __future__ import annotations

from monai_debias.engines.captured_iteration import CapturedIteration
from monai_debias.engines.prepare_batch import PrepareBatchAttached
from monai_debias.engines.swap_backgrounds import SwapBackgrounds

__all__ = ["CapturedIteration", "PrepareBatchAttached", "SwapBackgrounds"]
