# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of what a transform does and of how a classifier fares."""

from __future__ import annotations

from monai_debias.visualize.comparison import method_comparison
from monai_debias.visualize.confusion import confusion_matrices

__all__ = ["confusion_matrices", "method_comparison"]
