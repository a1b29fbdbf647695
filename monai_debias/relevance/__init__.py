# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Layer-wise relevance propagation through any classifier."""

from __future__ import annotations

from monai_debias.relevance.lrp import LRP
from monai_debias.relevance.tags import UncoveredOperationError
from monai_debias.relevance.targets import eta, explained_scalars

__all__ = ["LRP", "UncoveredOperationError", "eta", "explained_scalars"]
