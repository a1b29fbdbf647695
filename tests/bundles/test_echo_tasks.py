# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle on other tasks than its own: training, evaluation and inference from ``task`` and the datalist alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from monai_debias.data import load_datalist, save_datalist
from tests import processes

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "echo_view"
SECTIONS = ("training", "validation", "test_same", "test_random")
TASKS: dict[str, tuple[list[str], Callable[[int, int], Any]]] = {  # class names, and the label of a view and a number
    "multi_label": (["apical", "long axis", "never"], lambda view, n: [int(view > 1), view % 2 if n % 4 else None, 0]),
    "binary": (["parasternal", "apical"], lambda view, n: int(view > 1)),
}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", name="results", params=TASKS)
def fixture_results(request, tmp_path_factory, cohort) -> tuple[str, Path]:
    """The folder that the three commands of a task have filled."""
    names, label = TASKS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    sections = {
        section: [
            {"image": item["image"], "patient_id": item["patient_id"], "label": label(item["label"], n)}
            for n, item in enumerate(load_datalist(cohort, section))
        ]
        for section in SECTIONS
    }
    save_datalist(folder, sections, names, "other labels of the demo cohort")
    common = ["--task", request.param, "--class_names", str(names), "--image_size", "[48,48]"]
    places = ["--dataset_dir", folder, "--ckpt_dir", folder / "model", "--output_dir", folder / "eval", *common]
    train = ["--max_epochs", "1", "--batch_size", "8"]
    run(["train"], folder, *places, *train)
    run(["train", "evaluate"], folder, *places, "--n_resamples", "50")
    frames = ["--dataset_dir", cohort / "test_random", "--checkpoint", folder / "model" / "model.pt", *common]
    thresholds = ["--thresholds", folder / "eval" / "thresholds.json"]
    run(["inference"], folder, *frames, *thresholds, "--output_dir", folder / "predictions")
    return request.param, folder


def run(names: list[str], folder: Path, *options: object) -> None:
    command = ["monai.bundle", "run", "--config_file", [f"configs/{name}.json" for name in names], *options]
    log = folder / "log.txt"
    assert processes.run(command, BUNDLE, log) == 0, log.read_text()[-6000:]


def test_training_has_the_logits_and_the_key_metric_of_the_task(results):
    task, folder = results
    weights = torch.load(folder / "model" / "model.pt", weights_only=True)
    assert weights["fc.weight"].shape == ({"multi_label": 3, "binary": 1}[task], 256)
    state = torch.load(folder / "model" / "last.pt", weights_only=True)
    assert state["best"]["metric"] == "val_roc_auc"
    assert state["record"]["task"] == task


def test_the_report_is_that_of_scikit_learn(results):
    task, folder = results
    report, names = json.loads((folder / "eval" / "metrics.json").read_text()), TASKS[task][0]
    rows = json.loads((folder / "eval" / "predictions.json").read_text())
    assert list(report) == ["test_same", "test_random"]
    assert {row["split"] for row in rows} == {"validation", "test_same", "test_random"}
    thresholds = json.loads((folder / "eval" / "thresholds.json").read_text())["thresholds"]
    for split, result in report.items():
        assert result["samples"] == 12
        assert result["patients"] == 3
        for name in names[1:] if task == "binary" else names[:2]:
            known = [row for row in rows if row["split"] == split and name not in row["missing"]]
            truth, p = [name in row["label"] for row in known], [row[f"p_{name}"] for row in known]
            metrics = result["labels"][name]["metrics"]
            assert result["labels"][name]["known"] == len(known) == (9 if name == "long axis" else 12)
            assert metrics["roc_auc"][0] == pytest.approx(roc_auc_score(truth, p))
            assert metrics["average_precision"][0] == pytest.approx(average_precision_score(truth, p))
            decided = [value >= thresholds[name]["value"] for value in p]
            assert metrics["f1"][0] == pytest.approx(f1_score(truth, decided))
            assert metrics["roc_auc"][1] <= metrics["roc_auc"][0] <= metrics["roc_auc"][2]
    if task == "multi_label":
        assert thresholds["never"]["value"] is None
        assert report["test_same"]["labels"]["never"]["metrics"]["roc_auc"] == [None, None, None]
        assert "no positives among 12" in report["test_same"]["labels"]["never"]["notes"]["roc_auc"]
    assert (folder / "eval" / "confusion_matrix.png").exists() == (task == "binary")
    assert (folder / "eval" / "label_metrics.png").stat().st_size > 5000


def test_inference_decides_by_the_thresholds_of_validation(results):
    task, folder = results
    thresholds = json.loads((folder / "eval" / "thresholds.json").read_text())["thresholds"]
    rows = read(folder / "predictions" / "predictions.csv")
    assert len(rows) == 12
    for row in rows:
        decided = [name for name, cut in thresholds.items() if cut["value"] and float(row[f"p_{name}"]) >= cut["value"]]
        expected = decided or (["parasternal"] if task == "binary" else [])
        assert row["predicted"] == ";".join(expected)
        assert row["undecided"] == ("never" if task == "multi_label" else "")
