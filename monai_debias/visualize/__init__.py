# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of what a transform does, of how a classifier fares and of what it looks at."""

from __future__ import annotations

from monai_debias.visualize.comparison import method_comparison
from monai_debias.visualize.confusion import confusion_matrices
from monai_debias.visualize.heatmaps import heatmap_overlay
from monai_debias.visualize.labels import label_metrics
from monai_debias.visualize.shift import distribution_shift

__all__ = ["confusion_matrices", "distribution_shift", "heatmap_overlay", "label_metrics", "method_comparison"]
