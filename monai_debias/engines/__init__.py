# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Preparation of batches for MONAI's trainers and evaluators."""

from __future__ import annotations

from monai_debias.engines.prepare_batch import PrepareBatchAttached

__all__ = ["PrepareBatchAttached"]
