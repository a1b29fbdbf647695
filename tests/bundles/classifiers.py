# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundles that classify, which have the same workflow and take the overlays."""

from __future__ import annotations

from pathlib import Path

OTHERS = ("lung_mask",)
CLASSIFIERS = {
    path.name: path / "configs"
    for path in sorted((Path(__file__).resolve().parents[2] / "bundles").iterdir())
    if path.name not in OTHERS
}
