# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Small cohorts, and what the commands of the bundles have made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bundles.classifiers import SMALL_BUNDLES
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
def root_of(
    made_once: Callable[[str, Callable[[Path], object]], Path], cohort_of: Callable[[SmallBundle], Path]
) -> Callable[[SmallBundle], Path]:
    """A bundle's root after the three commands of its README, which find the small cohort there."""

    def use(bundle: SmallBundle) -> Path:
        root = cohort_of(bundle).parents[1]
        made_once(f"used_{bundle.name}", lambda _: bundle.use(root))
        return root

    return use


@pytest.fixture(scope="session")
def root(root_of: Callable[[SmallBundle], Path]) -> Path:
    """That of the echo bundle."""
    return root_of(SMALL_BUNDLES["echo_view"])


@pytest.fixture(scope="session")
def trained(root: Path) -> Path:
    """What the plain training of the echo bundle leaves."""
    return root / "models" / "baseline"
