# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A small cohort, and a network that was trained on it by the bundle's command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_debias.demo import build_echo_cohort
from tests.bundles.echo_view import train


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patients to train with, two for validation and three in each test; a clip of each view.

    Masks are the true sectors, since a search for them takes longer than a training.
    """
    folder = tmp_path_factory.mktemp("echo") / "cohort"
    build_echo_cohort(folder, patients=(6, 2, 3), frames=4, progress=False)
    datalist = json.loads((folder / "datalist.json").read_text(encoding="utf-8"))
    for item in datalist["training"] + datalist["validation"]:
        item["mask"] = item["sector"]
    (folder / "datalist.json").write_text(json.dumps(datalist), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    """What the plain training leaves."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, cohort)
    return folder
