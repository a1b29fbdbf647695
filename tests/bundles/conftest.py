# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Small cohorts, and an echo network that was trained by the bundle's command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bundles.classifiers import SMALL_BUNDLES
from tests.bundles.echo_view import train
from tests.bundles.small_bundle import SmallBundle


@pytest.fixture(scope="session")
def cohort_of(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Callable[[SmallBundle], Path]:
    """Where the small cohort of a bundle is; it is written when it is first asked for."""

    def build(bundle: SmallBundle) -> Path:
        below = Path("data", bundle.demo)
        return made_once(f"bundle_{bundle.name}", lambda root: bundle.build(root / below)) / below

    return build


@pytest.fixture(scope="session")
def cohort(cohort_of: Callable[[SmallBundle], Path]) -> Path:
    """The small echo cohort."""
    return cohort_of(SMALL_BUNDLES["echo_view"])


@pytest.fixture(scope="session")
def trained(made_once: Callable[[str, Callable[[Path], object]], Path], cohort: Path) -> Path:
    """What the plain training leaves."""
    return made_once("trained_echo_view", lambda folder: train(folder, cohort))
