# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""One small cohort for all tests."""

from __future__ import annotations

import pytest

from monai_debias.demo.ecg.cohort import build_ecg_cohort

SMALL = {"patients": (3, 1, 2, 1), "sampling_rate": 200, "workers": 1, "progress": False}
ALL = {"calibration_pulse": 0.5, "padding": 0.5, "lead_off": 0.5, "mains_hum": 0.5, "filter": 0.5}
ALL |= {"sampling_rate": 0.5, "gain_step": 0.5}


@pytest.fixture(scope="session")
def cohort(made_once):
    """With all shortcuts, for the label ``normal``."""
    noise = {"label_noise": 0.5, "noise_mode": "swap"}
    return made_once("demo_ecg", lambda folder: build_ecg_cohort(folder, ALL, "normal", **noise, **SMALL))
