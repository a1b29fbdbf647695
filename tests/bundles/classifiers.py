# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundles that classify, which have the same workflow and take the overlays, and small cohorts for them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from monai_debias.demo import build_cxr_cohort, build_ecg_cohort, build_echo_cohort
from tests.bundles.small_bundle import BUNDLES, SmallBundle

OTHERS = ("lung_mask",)
CLASSIFIERS = {path.name: path / "configs" for path in sorted(BUNDLES.iterdir()) if path.name not in OTHERS}


def build_echo(folder: Path) -> Path:
    """Six patients to train with, two for validation and three in each test; a clip of each view.

    Masks are the true sectors, since a search for them takes longer than a training.
    """
    build_echo_cohort(folder, patients=(6, 2, 3), frames=4, progress=False)
    datalist = json.loads((folder / "datalist.json").read_text(encoding="utf-8"))
    for item in datalist["training"] + datalist["validation"]:
        item["mask"] = item["sector"]
    (folder / "datalist.json").write_text(json.dumps(datalist), encoding="utf-8")
    return folder


def build_films(folder: Path, task: str) -> Path:
    """Six patients to train with, three for validation, three in each test and two from another hospital."""
    return build_cxr_cohort(folder, task, patients=(6, 3, 3, 2), size=48, workers=1, progress=False)


def build_ecgs(folder: Path) -> Path:
    """Ten patients to train with, four for validation and in each test, two with another device; a fifth as DICOM."""
    return build_ecg_cohort(folder, patients=(10, 4, 4, 2), records=1, sampling_rate=100, workers=1, progress=False)


_TESTS = ("test_same", "test_random", "test_reversed")
_FOUR_TESTS = (*_TESTS, "test_external")
_DENSENET = {"network_def#init_features": 8, "network_def#growth_rate": 4, "network_def#block_config": [1, 1, 1, 1]}
_SMALL = (
    SmallBundle("echo_view", build_echo, "echo_demo", (48, 48), _TESTS, {"network_def#layers": [1, 1, 1, 1]}),
    SmallBundle(
        "chest_xray_covid", partial(build_films, task="covid"), "cxr_covid_demo", (48, 48), _FOUR_TESTS, _DENSENET
    ),
    SmallBundle("ecg", build_ecgs, "ecg_demo", (400,), _FOUR_TESTS, {"network_def#block_inplanes": [4, 4, 8, 8]}),
    SmallBundle("chest_xray_tb", partial(build_films, task="tb"), "cxr_tb_demo", (48, 48), _FOUR_TESTS, _DENSENET),
)
SMALL_BUNDLES = {small.name: small for small in _SMALL}
