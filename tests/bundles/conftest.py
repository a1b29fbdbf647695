# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Small cohorts, and an echo network that was trained by the bundle's command."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.bundles.classifiers import SMALL_BUNDLES
from tests.bundles.echo_view import train
from tests.bundles.small_bundle import SmallBundle


@pytest.fixture(scope="session")
def cohort_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[SmallBundle], Path]:
    """Where the small cohort of a bundle is; it is written when it is first asked for."""

    @cache
    def build(name: str) -> Path:
        bundle = SMALL_BUNDLES[name]
        return bundle.build(tmp_path_factory.mktemp(name) / "data" / bundle.demo)

    return lambda bundle: build(bundle.name)


@pytest.fixture(scope="session")
def cohort(cohort_of: Callable[[SmallBundle], Path]) -> Path:
    """The small echo cohort."""
    return cohort_of(SMALL_BUNDLES["echo_view"])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    """What the plain training leaves."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, cohort)
    return folder
