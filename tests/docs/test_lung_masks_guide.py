# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/lung_masks.md runs, and its tables are those of the CSV files."""

from __future__ import annotations

import shutil

import pytest
from pydicom.data import get_testdata_file

from benchmarks import lung_masks
from benchmarks.csv_file import RESULTS, read
from benchmarks.evidence.mask_quality import table
from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("lung_masks")
QUALITY = RESULTS / "mask_quality.csv"


def test_the_table_of_the_weights():
    assert lung_masks.table(read(RESULTS / "lung_masks.csv")) in GUIDE


@pytest.mark.parametrize("split", ["same", "reversed", "external"] if QUALITY.exists() else [])
def test_the_tables_of_the_quality_of_masks(split):
    assert table(read(QUALITY), split) in GUIDE


@pytest.mark.filterwarnings("ignore::monai_debias.data.FileReadWarning")  # its pixel spacing is 0
def test_the_code_finds_the_lungs_of_a_real_film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(get_testdata_file("RG1_UNCR.dcm"), "film.dcm")
    scope: dict = {}
    run_code(block(GUIDE, "python"), scope)
    assert scope["found"].usable
    assert 0.1 < scope["found"].mask.mean() < 0.6
