# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from monai_debias.handlers import ClassificationReport, PredictionSaver
from monai_debias.metrics import choose_thresholds, classification_metrics
from tests.handlers.report_batches import FINDINGS, NAMES, batches, evaluate, findings, read
from tests.samples import VIEWS

EXAMPLES = {
    ClassificationReport: [
        {"output_dir": "$folder", "class_names": VIEWS, "ignore_value": value, "n_resamples": 20, "overwrite": True}
        for value in (None, -1, [-1, -100])
    ]
}


def test_thresholds_are_chosen_on_validation_and_used_in_the_report_and_in_inference(tmp_path):
    data = findings()
    evaluate(ClassificationReport(tmp_path, FINDINGS, "multi_label", ignore_value=-1, n_resamples=20), data)
    samples = [sample for batch in data for sample in batch]

    def of(split: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = [s for s in samples if s["split"] == split]
        return np.stack([s["label"].numpy() for s in chosen]), np.stack([s["p"].numpy() for s in chosen])

    chosen = choose_thresholds(*of("validation"), class_names=FINDINGS, ignore_value=-1)
    assert chosen["stone"].value is None
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert list(results) == ["test_a", "test_b"]
    for split, result in results.items():
        assert [result["labels"][name]["threshold"] for name in FINDINGS] == [t.value for t in chosen.values()]
        labels, p = of(split)
        known = labels[:, 2] >= 0
        decided = p[known, 2] >= chosen["tumour"].value
        tumour = result["labels"]["tumour"]
        assert tumour["metrics"]["f1"][0] == pytest.approx(f1_score(labels[known, 2], decided))
        assert tumour["metrics"]["roc_auc"][0] == pytest.approx(roc_auc_score(labels[known, 2], p[known, 2]))
        assert tumour["confusion"] == confusion_matrix(labels[known, 2], decided).tolist()
        assert (tumour["known"], tumour["positive"]) == (known.sum(), labels[known, 2].sum())
        assert result["labels"]["stone"]["metrics"]["f1"] == [None] * 3
        assert result["labels"]["stone"]["notes"]["f1"] == "undefined: no threshold"
        assert result["labels"]["stone"]["confusion"] is None
        assert result["notes"]["f1_macro"] == "mean without stone, where it is undefined"
        assert result["confusion"] is None
    table = read(tmp_path / "metrics.csv")
    assert len(table) == 2 * (6 + 3 * 6)
    undefined = [row for row in table if (row["label"], row["metric"]) == ("stone", "f1")]
    assert [row["value"] + row["low"] + row["high"] for row in undefined] == ["", ""]
    assert {row["note"] for row in undefined} == {"undefined: no threshold"}
    assert "nan" not in "".join(file.read_text().lower() for file in tmp_path.iterdir() if file.suffix != ".png")
    assert {row["undecided"] for row in read(tmp_path / "predictions.csv")} == {"stone"}
    assert not (tmp_path / "confusion_matrix.png").exists()

    evaluate(PredictionSaver(tmp_path / "new", FINDINGS, "multi_label", tmp_path / "thresholds.json"), data)
    here, there = read(tmp_path / "predictions.csv"), read(tmp_path / "new" / "predictions.csv")
    assert [row["predicted"] for row in here] == [row["predicted"] for row in there]


def test_given_thresholds_are_taken_and_every_split_is_reported(tmp_path):
    evaluate(ClassificationReport(tmp_path, FINDINGS, "multi_label", 0.3, ignore_value=-1, n_resamples=5), findings())
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert list(results) == ["validation", "test_a", "test_b"]
    assert results["test_a"]["labels"]["stone"]["threshold"] == 0.3
    assert not (tmp_path / "thresholds.json").exists()


def test_a_report_of_a_binary_task(tmp_path):
    rng = np.random.default_rng(1)
    samples = [
        {
            "image": f"{i}.png",
            "label": torch.tensor(i % 2),
            "split": ["validation", "test"][i // 20],
            "patient_id": str(i),
            "p": torch.tensor([(rng.random() + i % 2) / 2]),
        }
        for i in range(40)
    ]
    evaluate(ClassificationReport(tmp_path, ["healthy", "ill"], "binary", n_resamples=20), [samples])
    result = json.loads((tmp_path / "metrics.json").read_text())["test"]
    p, labels = np.array([s["p"].item() for s in samples[20:]]), np.arange(20) % 2
    decided = p >= result["labels"]["ill"]["threshold"]
    assert result["confusion"] == confusion_matrix(labels, decided).tolist()
    assert result["labels"]["ill"]["metrics"]["roc_auc"][0] == pytest.approx(roc_auc_score(labels, p))
    assert list(result["labels"]) == ["ill"]
    assert (tmp_path / "confusion_matrix.png").exists()


def test_one_layout_for_all_tasks(tmp_path):
    evaluate(ClassificationReport(tmp_path / "softmax", NAMES, n_resamples=5), batches())
    evaluate(
        ClassificationReport(tmp_path / "several", FINDINGS, "multi_label", ignore_value=-1, n_resamples=5), findings()
    )
    one, several = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("softmax", "several"))
    first, second = one["test_same"], several["test_a"]
    assert first.keys() == second.keys()
    assert first["metrics"].keys() == second["metrics"].keys()
    assert first["labels"]["PLAX"].keys() == second["labels"]["cyst"].keys()
    assert first["labels"]["PLAX"]["metrics"].keys() == second["labels"]["cyst"]["metrics"].keys()
    tables = [read(tmp_path / name / "metrics.csv")[0].keys() for name in ("softmax", "several")]
    assert tables[0] == tables[1]
    for name in ("softmax", "several"):
        assert imread(tmp_path / name / "label_metrics.png").std() > 0.05


def test_a_split_without_any_label_is_reported_as_such(tmp_path):
    data = findings()
    for sample in (sample for batch in data for sample in batch if sample["split"] == "test_b"):
        sample["label"][:] = -1
    evaluate(ClassificationReport(tmp_path, FINDINGS, "multi_label", ignore_value=-1, n_resamples=5), data)
    result = json.loads((tmp_path / "metrics.json").read_text())["test_b"]
    assert (result["samples"], result["unlabelled"]) == (30, 30)
    assert {tuple(numbers) for numbers in result["metrics"].values()} == {(None, None, None)}
    assert result["notes"]["accuracy"] == "undefined: no known labels"


def test_no_thresholds_on_test_data(tmp_path):
    with pytest.raises(ValueError, match="thresholds that are chosen on test data make the test look better"):
        ClassificationReport(tmp_path, FINDINGS, "multi_label", threshold_split="test_a")
    data = [[sample for sample in batch if sample["split"] != "validation"] for batch in findings()]
    with pytest.raises(ValueError, match=r"no sample of the split 'validation' .* only of \['test_a', 'test_b'\]"):
        evaluate(ClassificationReport(tmp_path, FINDINGS, "multi_label", ignore_value=-1), data)
    assert not (tmp_path / "metrics.json").exists()
    assert {row["undecided"] for row in read(tmp_path / "predictions.csv")} == {"cyst;stone;tumour"}


def test_the_report_holds_what_the_metrics_say(tmp_path):
    data = batches()
    evaluate(ClassificationReport(tmp_path, NAMES, n_resamples=100, seed=3), data)
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert list(results) == ["test_same", "test_reversed"]
    for split, result in results.items():
        samples = [sample for batch in data for sample in batch if sample["split"] == split]
        labels, p = [int(s["label"]) for s in samples], np.stack([s["p"].numpy() for s in samples])
        patients = [s["patient_id"] for s in samples]
        expected = classification_metrics(labels, p, class_names=NAMES, groups=patients, n_resamples=100, seed=3)
        assert (result["samples"], result["unlabelled"], result["patients"]) == (30, 0, 15)
        for name, estimate in expected.overall.items():
            assert result["metrics"][name] == pytest.approx(estimate[:3])
        for view in NAMES:
            found = result["labels"][view]["metrics"]
            assert found["roc_auc"] == pytest.approx(expected.labels[view]["roc_auc"][:3])
            assert result["labels"][view]["threshold"] is None
        assert result["confusion"] == confusion_matrix(labels, p.argmax(1)).tolist()
    table = read(tmp_path / "metrics.csv")
    assert len(table) == 2 * (6 + 3 * 6)
    assert float(table[0]["value"]) == pytest.approx(results["test_same"]["metrics"]["accuracy"][0], abs=1e-4)
    assert imread(tmp_path / "confusion_matrix.png").std() > 0.05


def test_no_patient_is_written(tmp_path):
    evaluate(ClassificationReport(tmp_path, NAMES, n_resamples=10), batches())
    for file in ("predictions.csv", "predictions.json", "metrics.json", "metrics.csv"):
        assert "secret" not in (tmp_path / file).read_text()
