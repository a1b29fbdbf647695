# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What hands a batch to MONAI's trainers and evaluators."""

from __future__ import annotations

from monai_debias.engines.flow_mixup import PrepareBatchFlowMixup
from monai_debias.engines.isnet import PrepareBatchISNet
from monai_debias.engines.prepare_batch import PrepareBatchTargets

__all__ = ["PrepareBatchFlowMixup", "PrepareBatchISNet", "PrepareBatchTargets"]
