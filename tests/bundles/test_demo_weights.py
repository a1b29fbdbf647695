# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights that the classifying bundles bring: what they are, and an inference with them before any training."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from monai.apps.utils import HashCheckError
from monai.bundle import download_large_files

from benchmarks.csv_file import RESULTS, read
from monai_debias.command_line import copy_bundle
from monai_debias.data import load_datalist
from monai_debias.handlers.checkpoint_files import read_record
from tests.bundles.classifiers import SMALL_BUNDLES
from tests.bundles.small_bundle import configs


@pytest.fixture(scope="module", name="bundle", params=SMALL_BUNDLES)
def fixture_bundle(request):
    return SMALL_BUNDLES[request.param]


@pytest.fixture(name="copied")
def fixture_copied(bundle, tmp_path) -> Path:
    copy_bundle(bundle.name, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_they_are_what_the_hash_says(copied):
    download_large_files(str(copied))  # verifies what is there
    model = copied / "models" / "demo" / "model.pt"
    assert model.stat().st_size < 3_000_000
    listed = yaml.safe_load((copied / "large_files.yml").read_text())["large_files"]
    assert [entry["path"] for entry in listed] == ["models/demo/model.pt"]
    with model.open("ab") as file:
        file.write(b"0")
    with pytest.raises(HashCheckError, match="hash check"):
        download_large_files(str(copied))


def test_inference_works_before_any_training_and_says_with_what(bundle, copied, cohort_of, tmp_path):
    source = cohort_of(bundle) / "test_random"
    where = ["--bundle_root", copied, "--dataset_dir", source]
    output = bundle.run("run", "--config_file", configs("inference"), *where)
    assert "models/demo/model.pt" in output
    assert "semi-synthetic" in output
    assert "not for clinical use" in output
    with (copied / "predictions" / "demo" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(load_datalist(cohort_of(bundle), "test_random"))
    names = (read_record(copied / "models" / "demo" / "model.pt") or {})["class_names"]
    assert {name for row in rows for name in row["predicted"].split(";") if name} <= set(names)


def test_the_table_and_the_card_are_of_this_file(bundle):
    rows = [row for row in read(RESULTS / "demo_weights.csv") if row["bundle"] == bundle.name]
    assert {row["section"] for row in rows} >= {"test_same", "test_random", "test_reversed"}
    model = bundle.folder / "models" / "demo" / "model.pt"
    assert {int(row["bytes"]) for row in rows} == {model.stat().st_size}
    scores = [f"{float(row['stored']):.1f}" for row in rows if row["section"].startswith("test")]
    card = (
        (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8").split("## Demo weights")[1].split("\n## ")[0]
    )
    assert all(score in card for score in scores)
