# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests of the cohorts look at in the datalists that were built."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

from monai.transforms import LoadImaged

from monai_debias.apps.radiography import RadiographReader
from monai_debias.transforms import LoadMaskd

QUARTERS = {"validation_fraction": 0.25, "test_fraction": 0.25}  # of few films, so that each split has each class
THIRDS = {"validation_fraction": 1 / 3, "test_fraction": 1 / 3}


def sections(path: str | Path) -> dict[str, list[dict]]:
    content = json.loads(Path(path).read_text())
    return {name: value for name, value in content.items() if isinstance(value, list)}


def items(path: str | Path) -> list[dict]:
    return [item for section in sections(path).values() for item in section]


def labels(path: str | Path) -> dict[str, str]:
    return json.loads(Path(path).read_text())["labels"]


def load(item: dict) -> dict:
    """The film and its mask, which fit each other."""
    reader = RadiographReader()
    return LoadMaskd("mask", reader=reader)(LoadImaged("image", reader=reader, ensure_channel_first=True)(item))


def left_out(folder: Path) -> Counter:
    with (folder / "left_out.csv").open(newline="") as file:
        return Counter(row["reason"] for row in csv.DictReader(file))
