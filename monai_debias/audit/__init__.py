# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does a trained network use a shortcut, and how much does it matter?"""

from __future__ import annotations

from monai_debias.audit.allowed import allowed_region
from monai_debias.audit.figure import audit_figure
from monai_debias.audit.handler import AuditHandler
from monai_debias.audit.judge import attention, decisions, robustness
from monai_debias.audit.run import audit

__all__ = ["AuditHandler", "allowed_region", "attention", "audit", "audit_figure", "decisions", "robustness"]
