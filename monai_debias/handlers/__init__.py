# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Ignite handlers that plug into MONAI's trainers and evaluators."""

from __future__ import annotations

from monai_debias.handlers.background_swap import BackgroundSwapConsistency
from monai_debias.handlers.best_model import BestModel
from monai_debias.handlers.classification_metric import ClassificationMetric
from monai_debias.handlers.classification_report import ClassificationReport
from monai_debias.handlers.finite_loss import FiniteLoss
from monai_debias.handlers.gradient_clipping import GradientClipping
from monai_debias.handlers.guard_swap_consistency import GuardSwapConsistency
from monai_debias.handlers.heatmap_saver import HeatmapSaver
from monai_debias.handlers.loss_terms import LossTerms
from monai_debias.handlers.model_loader import ModelLoader
from monai_debias.handlers.predictions import PredictionSaver
from monai_debias.handlers.relevance_cuts import RelevanceCutTuning
from monai_debias.handlers.relevance_schedule import RelevanceWeightSchedule
from monai_debias.handlers.require_masks import RequireMasks
from monai_debias.handlers.resumable_training import ResumableTraining

__all__ = [
    "BackgroundSwapConsistency",
    "BestModel",
    "ClassificationMetric",
    "ClassificationReport",
    "FiniteLoss",
    "GradientClipping",
    "GuardSwapConsistency",
    "HeatmapSaver",
    "LossTerms",
    "ModelLoader",
    "PredictionSaver",
    "RelevanceCutTuning",
    "RelevanceWeightSchedule",
    "RequireMasks",
    "ResumableTraining",
]
