# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Data with a planted shortcut: semi-synthetic cohorts in the real file formats, and biased MNIST."""

from __future__ import annotations

from monai_debias.demo.biased_mnist import load_biased_mnist
from monai_debias.demo.cxr.cohort import build_cxr_cohort
from monai_debias.demo.cxr.default_cohort import cxr_demo_cohort
from monai_debias.demo.ecg.cohort import build_ecg_cohort
from monai_debias.demo.ecg.default_cohort import ecg_demo_cohort
from monai_debias.demo.echo.cohort import build_echo_cohort
from monai_debias.demo.echo.default_cohort import echo_demo_cohort

__all__ = [
    "build_cxr_cohort",
    "build_ecg_cohort",
    "build_echo_cohort",
    "cxr_demo_cohort",
    "ecg_demo_cohort",
    "echo_demo_cohort",
    "load_biased_mnist",
]
