# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How right, how sure and how well-founded a classifier is."""

from __future__ import annotations

from monai_debias.metrics.background_relevance import background_relevance
from monai_debias.metrics.classification import bootstrap_intervals, classification_metrics
from monai_debias.metrics.cluster_separation import cluster_r2, cluster_separation

__all__ = ["background_relevance", "bootstrap_intervals", "classification_metrics", "cluster_r2", "cluster_separation"]
