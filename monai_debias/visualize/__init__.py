# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of what a transform does, of how a classifier fares and of what it looks at."""

from __future__ import annotations

from monai_debias.visualize.comparison import method_comparison
from monai_debias.visualize.confusion import confusion_matrices
from monai_debias.visualize.distribution_shift import distribution_shift
from monai_debias.visualize.heatmap_overlay import heatmap_overlay
from monai_debias.visualize.label_metrics import label_metrics

__all__ = ["confusion_matrices", "distribution_shift", "heatmap_overlay", "label_metrics", "method_comparison"]
