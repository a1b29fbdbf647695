# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How right, and how sure, a classifier is."""

from __future__ import annotations

from monai_debias.metrics.classification import bootstrap_intervals, classification_metrics

__all__ = ["bootstrap_intervals", "classification_metrics"]
