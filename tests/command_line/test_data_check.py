# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""``monai-debias check`` as a user types it: on a sound data set, on one with defects, on one with a shortcut."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_debias.__main__ import main

PATIENTS = 24


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Any:
    """Type ``monai-debias check …``; returns what it exits with, None for success."""
    monkeypatch.setattr(sys, "argv", ["monai_debias", "check", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return end.code
    return None


@pytest.fixture(name="cohort")
def fixture_cohort(tmp_path) -> Path:
    """The sick come from a hospital whose films are wider and have black borders; the age says nothing."""
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {"labels": {"0": "healthy", "1": "sick"}, "training": [], "validation": []}
    for n in range(PATIENTS):
        label = n % 2
        pixels = rng.integers(50, 256, (40, 40 + 10 * label), dtype=np.uint8)
        if label:
            pixels[:, :5] = pixels[:, -5:] = 0
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
        item = {"image": f"{n}.png", "label": label, "patient_id": f"secret{n}", "age": int(rng.integers(20, 90))}
        item |= {"hospital": ("north", "south")[label], "scanner": "A"}
        content["validation" if n > 19 else "training"].append(item)
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    return tmp_path


def test_what_goes_with_the_label(cohort, monkeypatch, capsys):
    assert run(monkeypatch, cohort, "--out", cohort / "found") is None
    printed = capsys.readouterr()
    assert "no defects found" in printed.out
    assert "what goes with the label in section 'training': 20 images of 20 patients" in printed.out
    assert f"{PATIENTS}/{PATIENTS}" in printed.err  # the progress bar
    assert "secret" not in printed.out
    assert "hospital, " in printed.out.rpartition("\n\n")[2]
    with (cohort / "found" / "confounding.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert float(rows["hospital"]["effect"]) == pytest.approx(1)
    assert float(rows["hospital"]["adjusted_p"]) == 0.001
    assert float(rows["age"]["adjusted_p"]) > 0.05
    assert "scanner" not in rows  # one value
    assert float(rows["columns"]["effect"]) == float(rows["border blackness"]["effect"]) == 1
    assert "rows" not in rows
    with Image.open(cohort / "found" / "confounding.png") as picture:
        assert picture.width > 1000
    assert (cohort / "found" / "defects.csv").read_text() == "kind,section,item,file,detail\n"
    assert run(monkeypatch, cohort, "--out", cohort / "found") == 2
    assert "has defects.csv, confounding.csv, confounding.png already" in capsys.readouterr().err
    assert run(monkeypatch, cohort, "--section", "validation", "--noprogress") is None
    assert "fewer than five patients with a label" in capsys.readouterr().out
    assert run(monkeypatch, cohort, "--section", "test", "--noprogress") == 2
    assert "there is no section 'test', it has training, validation" in capsys.readouterr().err


def test_defects(cohort, monkeypatch, capsys):
    for n in range(8):
        (cohort / f"{n}.png").write_bytes(b"no picture")
    assert run(monkeypatch, cohort / "datalist.json", "--out", cohort / "found", "--noprogress") == 1
    printed = capsys.readouterr().out
    assert "8 defects in all: unreadable 8" in printed
    assert "12 images of 12 patients" in printed
    with (cohort / "found" / "defects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], row["section"], row["item"]) for row in rows] == [
        ("unreadable", "training", str(n)) for n in range(8)
    ]
    assert run(monkeypatch, cohort, "--out", cohort / "found", "--overwrite", "--noprogress") == 1
    assert run(monkeypatch, cohort / "gone") == 2
    assert "does not exist" in capsys.readouterr().err
    assert run(monkeypatch, cohort, "--reader", "numpy.load") == 2
    assert "dotted name of an image reader" in capsys.readouterr().err


@pytest.mark.parametrize("labels", [[0] * 8, [[1, 0]] * 8])
def test_one_class_and_no_attributes(tmp_path, monkeypatch, capsys, labels):
    items = []
    for n, label in enumerate(labels):
        np.save(tmp_path / f"{n}.npy", np.random.default_rng(n).random((12, 12)))
        items.append({"image": f"{n}.npy", "label": label, "patient_id": str(n)})
    (tmp_path / "datalist.json").write_text(json.dumps({"labels": {"0": "cyst", "1": "stone"}, "training": items}))
    assert run(monkeypatch, tmp_path, "--noprogress") == 1  # the check of labels
    printed = capsys.readouterr().out
    assert "no attribute has more than one value" in printed
    assert "nothing here goes with the label" in printed
