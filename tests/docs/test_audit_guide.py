# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/audit.md, run as it stands there, and its table of checks."""

from __future__ import annotations

import re

import numpy as np
import torch
from PIL import Image

from benchmarks.audit import mending, rivals
from benchmarks.audit.command import table
from benchmarks.csv_file import RESULTS, read
from monai_debias.audit import allowed_region, audit, audit_figure
from monai_debias.audit.checks import default_checks
from monai_debias.audit.models import load_model
from tests.audit.subjects import looks_at, make_items
from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("audit")


def test_the_example_finds_the_shortcut(capsys):
    items = [{key: value for key, value in item.items() if key != "mask"} for item in make_items(200, bias=1.0)]
    names = {"audit": audit, "audit_figure": audit_figure, "allowed_region": allowed_region}
    names |= {"network": looks_at(1, 20), "test_set": items, "training_set": items}
    run_code(block(GUIDE, "python", "exit_code"), names)
    *findings, code = capsys.readouterr().out.splitlines()
    assert code == "3"
    assert len(findings) == len(names["found"].findings)
    run_code(block(GUIDE, "python", "allowed_region"), names)
    assert not names["masked"][0]["mask"][:, 14:, 14:].any()


def test_the_preprocessing_of_an_exported_network_is_read(tmp_path):
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(1, 2))
    torch.jit.save(torch.jit.trace(network, torch.rand(1, 1, 8, 8)), tmp_path / "network.ts")
    (tmp_path / "preprocessing.json").write_text(block(GUIDE, "json"))
    Image.fromarray(np.full((40, 32), 255, np.uint8)).save(tmp_path / "film.png")
    model = load_model(tmp_path / "network.ts", preprocessing=tmp_path / "preprocessing.json")
    image = model.transform({"image": str(tmp_path / "film.png")})["image"]
    assert (image.shape, image.min(), image.max()) == ((1, 224, 224), 1, 1)
    assert model.normalize(image).abs().max() == 0
    assert (model.class_names, model.task) == (["no finding", "finding"], "softmax")


def test_the_table_has_all_checks():
    assert set(re.findall(r"^\| `([a-z ]+)` \|", GUIDE, re.MULTILINE)) == {check.name for check in default_checks()}


def test_its_tables_are_those_of_the_audits():
    assert table(read(RESULTS / "audit.csv")).strip() in GUIDE
    assert table(read(RESULTS / "audit_without_masks.csv")).strip() in GUIDE
    assert mending.table(read(RESULTS / "audit_mending.csv")).strip() in GUIDE
    assert rivals.table(read(RESULTS / "audit_rivals.csv")).strip() in GUIDE
