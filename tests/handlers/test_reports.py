# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from matplotlib.image import imread
from monai.data import MetaTensor

from monai_debias.data.left_out import LeftOut
from monai_debias.handlers import ClassificationReport, PredictionSaver
from monai_debias.metrics import bootstrap_intervals, classification_metrics

NAMES = ["PLAX", "PSAX", "A2C"]


def batches(n: int = 60, per_batch: int = 4) -> list[list[dict]]:
    """Samples of two splits and 15 patients, with the probabilities that a network would give them under "p"."""
    rng = np.random.default_rng(0)
    samples = [
        {
            "image": MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": f"/data/set/test/{i:03}.dcm"}),
            "label": torch.tensor(i % 3),
            "split": ["test_same", "test_reversed"][i % 2],
            "patient_id": f"secret-{i // 4}",
            "p": torch.as_tensor(rng.dirichlet(1 + 3 * np.eye(3)[i % 3])),
        }
        for i in range(n)
    ]
    return [samples[i : i + per_batch] for i in range(0, n, per_batch)]


def evaluate(handler, data: list[list[dict]]) -> None:
    engine = Engine(lambda engine, batch: [{"pred": sample["p"]} for sample in batch])
    handler.attach(engine)
    engine.run(data)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_predictions_are_written_as_they_were_made(tmp_path):
    data = batches()
    evaluate(PredictionSaver(tmp_path / "new" / "folder", NAMES, columns=["split", "label"], root="/data/set"), data)
    rows = read(tmp_path / "new" / "folder" / "predictions.csv")
    records = json.loads((tmp_path / "new" / "folder" / "predictions.json").read_text())
    samples = [sample for batch in data for sample in batch]
    assert len(rows) == len(records) == len(samples)
    for row, record, sample in zip(rows, records, samples, strict=True):
        p = sample["p"].numpy()
        assert (
            row["file"]
            == record["file"]
            == Path(sample["image"].meta["filename_or_obj"]).relative_to("/data/set").as_posix()
        )
        assert [float(row[f"p_{name}"]) for name in NAMES] == pytest.approx(p, abs=1e-6)
        assert [record[f"p_{name}"] for name in NAMES] == pytest.approx(p, abs=1e-12)
        assert row["predicted"] == NAMES[p.argmax()]
        assert int(row["label"]) == record["label"] == int(sample["label"])


def test_predictions_before_an_unreadable_file_are_kept(tmp_path):
    def unreadable():
        yield from batches()[:3]
        raise ValueError("broken.dcm: the file was cut short")

    with pytest.raises(ValueError, match=r"broken\.dcm"):
        evaluate(PredictionSaver(tmp_path, NAMES), unreadable())
    assert len(read(tmp_path / "predictions.csv")) == 12


def test_what_was_left_out_is_written_beside_the_predictions(tmp_path):
    left_out: list[LeftOut] = []

    def loader():
        yield from batches()[:2]
        left_out.append(LeftOut("b,1.dcm", "unreadable", "is empty"))

    engine = Engine(lambda engine, batch: [{"pred": sample["p"]} for sample in batch])
    PredictionSaver(tmp_path, NAMES, left_out=left_out).attach(engine)
    engine.run(loader())
    assert len(read(tmp_path / "predictions.csv")) == 8
    assert read(tmp_path / "left_out.csv") == [{"file": "b,1.dcm", "kind": "unreadable", "reason": "is empty"}]
    evaluate(PredictionSaver(tmp_path / "whole", NAMES, left_out=[]), batches()[:1])
    assert read(tmp_path / "whole" / "left_out.csv") == []
    evaluate(PredictionSaver(tmp_path / "plain", NAMES), batches()[:1])
    assert not (tmp_path / "plain" / "left_out.csv").exists()


def test_the_report_holds_what_the_metrics_say(tmp_path):
    data = batches()
    evaluate(ClassificationReport(tmp_path, NAMES, n_resamples=100, seed=3), data)
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert list(results) == ["test_same", "test_reversed"]
    for split, result in results.items():
        samples = [sample for batch in data for sample in batch if sample["split"] == split]
        labels, p = [int(s["label"]) for s in samples], np.stack([s["p"].numpy() for s in samples])
        expected = classification_metrics(labels, p)
        intervals = bootstrap_intervals(labels, p, [s["patient_id"] for s in samples], n_resamples=100, seed=3)
        assert result["samples"] == 30
        assert result["patients"] == 15
        for name, (value, low, high) in result["metrics"].items():
            assert value == pytest.approx(expected[name])
            assert (low, high) == pytest.approx(intervals[name])
        confusion = np.array(result["confusion"])
        assert confusion.sum(1).tolist() == np.bincount(labels).tolist()
        assert np.trace(confusion) / 30 == pytest.approx(expected["accuracy"])
    table = read(tmp_path / "metrics.csv")
    assert len(table) == 8
    assert float(table[0]["value"]) == pytest.approx(results["test_same"]["metrics"]["accuracy"][0], abs=1e-4)
    assert imread(tmp_path / "confusion_matrix.png").std() > 0.05


def test_no_patient_is_written(tmp_path):
    evaluate(ClassificationReport(tmp_path, NAMES, n_resamples=10), batches())
    for file in ("predictions.csv", "predictions.json", "metrics.json", "metrics.csv"):
        assert "secret" not in (tmp_path / file).read_text()


@pytest.mark.parametrize("handler", [PredictionSaver, ClassificationReport])
def test_results_are_not_overwritten_silently(tmp_path, handler):
    evaluate(handler(tmp_path, NAMES), batches())
    before = (tmp_path / "predictions.csv").read_text()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        evaluate(handler(tmp_path, NAMES), batches(12))
    assert (tmp_path / "predictions.csv").read_text() == before
    evaluate(handler(tmp_path, NAMES, overwrite=True), batches(48))
    assert len(read(tmp_path / "predictions.csv")) == 48


def test_bad_input_gets_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="class_names is of type list and length 1, expected a sequence of 2 or more"):
        PredictionSaver(tmp_path, ["PLAX"])
    with pytest.raises(ValueError, match="got 3 outputs for the 2 classes"):
        evaluate(PredictionSaver(tmp_path, NAMES[:2]), batches())
