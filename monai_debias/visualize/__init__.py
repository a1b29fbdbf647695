# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of the effect of a transform, of the metrics of a classifier, and of where it looks."""

from __future__ import annotations

from monai_debias.visualize.comparison import method_comparison
from monai_debias.visualize.confusion import confusion_matrices
from monai_debias.visualize.heatmaps import heatmap_overlay
from monai_debias.visualize.labels import label_metrics
from monai_debias.visualize.shift import distribution_shift

__all__ = ["confusion_matrices", "distribution_shift", "heatmap_overlay", "label_metrics", "method_comparison"]
