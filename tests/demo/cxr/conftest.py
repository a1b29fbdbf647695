# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""One small cohort for all tests, and one patient."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.demo.cxr.chest_ct import load_chest_ct
from monai_debias.demo.cxr.cohort import build_cxr_cohort
from monai_debias.demo.cxr.patients import draw_patient
from monai_debias.demo.cxr.projection import project

SMALL = {"bias": 2 / 3, "patients": (3, 1, 2, 1), "size": 64, "workers": 1, "progress": False}


@pytest.fixture(scope="session")
def cohort(made_once):
    return made_once("demo_cxr", lambda folder: build_cxr_cohort(folder, "covid", **SMALL))


@pytest.fixture(scope="session")
def patients():
    """Three patients as the rays meet them."""
    generators = [np.random.default_rng(seed) for seed in (0, 1, 2)]
    return [project(load_chest_ct(), draw_patient(rng), rng, size=96) for rng in generators]
