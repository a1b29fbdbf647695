# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI inferers for the networks and inputs of this project."""

from __future__ import annotations

from monai_debias.inferers.background_swap import BackgroundSwapInferer
from monai_debias.inferers.clip import ClipInferer
from monai_debias.inferers.flow_mixup import FlowMixupInferer
from monai_debias.inferers.isnet import ISNetInferer

__all__ = ["BackgroundSwapInferer", "ClipInferer", "FlowMixupInferer", "ISNetInferer"]
