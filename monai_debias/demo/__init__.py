# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Semi-synthetic cohorts with a planted shortcut, written in the real file formats."""

from __future__ import annotations

from monai_debias.demo.default_data import echo_demo_cohort
from monai_debias.demo.echo import build_echo_cohort

__all__ = ["build_echo_cohort", "echo_demo_cohort"]
