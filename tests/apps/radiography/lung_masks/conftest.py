# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Films of the demo cohort of patients and a scanner that the weights of the package were not trained with."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_debias.demo import build_cxr_cohort


@pytest.fixture(scope="session")
def cohort(made_once) -> Path:
    """Four films of two patients in test_random, two in test_external."""
    small = {"patients": (1, 1, 2, 1), "size": 128, "workers": 1, "progress": False}
    return made_once("lung_masks", lambda folder: build_cxr_cohort(folder, "tb", bias=0.5, seed=77, **small))
