# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/lung_masks.md are those of the CSV files."""

from __future__ import annotations

import pytest

from benchmarks import lung_masks
from benchmarks.csv_file import RESULTS, read
from benchmarks.evidence.mask_quality import table
from tests.docs.guides import read_guide

GUIDE = read_guide("lung_masks")
QUALITY = RESULTS / "mask_quality.csv"


def test_the_table_of_the_weights():
    assert lung_masks.table(read(RESULTS / "lung_masks.csv")) in GUIDE


@pytest.mark.parametrize("split", ["same", "reversed", "external"] if QUALITY.exists() else [])
def test_the_tables_of_the_quality_of_masks(split):
    assert table(read(QUALITY), split) in GUIDE
