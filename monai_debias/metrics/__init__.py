# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How right, how sure and how well-founded a classifier is."""

from __future__ import annotations

from monai_debias.metrics.background_swap import background_swap_consistency
from monai_debias.metrics.classification import classification_metrics
from monai_debias.metrics.clusters import cluster_r2, cluster_separation
from monai_debias.metrics.groups import group_accuracy, paired_difference
from monai_debias.metrics.pointing import pointing_game, relevance_focus
from monai_debias.metrics.relevance_share import background_relevance
from monai_debias.metrics.thresholds import choose_thresholds

__all__ = [
    "background_relevance",
    "background_swap_consistency",
    "choose_thresholds",
    "classification_metrics",
    "cluster_r2",
    "cluster_separation",
    "group_accuracy",
    "paired_difference",
    "pointing_game",
    "relevance_focus",
]
