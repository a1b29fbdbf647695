# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from monai_debias.data.left_out import LeftOut
from monai_debias.handlers import ClassificationReport, PredictionSaver
from tests.handlers.report_batches import FINDINGS, NAMES, batches, evaluate, findings, read
from tests.samples import VIEWS

EXAMPLES = {
    PredictionSaver: [
        {"output_dir": "$folder", "class_names": VIEWS, "label_key": "label", "ignore_value": value, "overwrite": True}
        for value in (None, -1, [-1, -100])
    ]
}


def test_predictions_are_written_as_they_were_made(tmp_path):
    data = batches()
    saver = PredictionSaver(tmp_path / "new" / "folder", NAMES, columns=["split"], label_key="label", root="/data/set")
    evaluate(saver, data)
    rows = read(tmp_path / "new" / "folder" / "predictions.csv")
    records = json.loads((tmp_path / "new" / "folder" / "predictions.json").read_text())
    samples = [sample for batch in data for sample in batch]
    assert len(rows) == len(records) == len(samples)
    for row, record, sample in zip(rows, records, samples, strict=True):
        p, file = sample["p"].numpy(), Path(sample["image"].meta["filename_or_obj"])
        assert row["file"] == record["file"] == file.relative_to("/data/set").as_posix()
        assert [float(row[f"p_{name}"]) for name in NAMES] == pytest.approx(p, abs=1e-6)
        assert [record[f"p_{name}"] for name in NAMES] == pytest.approx(p, abs=1e-12)
        assert [row["predicted"]] == record["predicted"] == [NAMES[p.argmax()]]
        assert [row["label"]] == record["label"] == [NAMES[int(sample["label"])]]
        assert row["missing"] == row["undecided"] == ""
        assert row["split"] == sample["split"]


def test_predictions_of_several_labels(tmp_path):
    data = [[{"image": "a.png", "label": torch.tensor([1.0, 0.0, -1.0]), "p": torch.tensor([0.2, 0.6, 0.9])}]]
    evaluate(PredictionSaver(tmp_path, FINDINGS, "multi_label", 0.5, label_key="label", ignore_value=-1), data)
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        "file,label,missing,predicted,undecided,p_cyst,p_stone,p_tumour",
        "a.png,cyst,tumour,stone;tumour,,0.200000,0.600000,0.900000",
    ]
    record = json.loads((tmp_path / "predictions.json").read_text())[0]
    assert (record["label"], record["missing"], record["predicted"]) == (["cyst"], ["tumour"], ["stone", "tumour"])


def test_predictions_of_a_binary_task(tmp_path):
    samples = [{"image": f"{p}.png", "label": torch.tensor(y), "p": torch.tensor([p])} for p, y in ((0.2, 1), (0.7, 0))]
    evaluate(PredictionSaver(tmp_path, ["healthy", "ill"], "binary", 0.6, label_key="label"), [samples])
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1:] == [
        "0.2.png,ill,,healthy,,0.200000",
        "0.7.png,healthy,,ill,,0.700000",
    ]


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
    with pytest.raises(ValueError, match=r"a softmax needs 2 class_names or more, got \['PLAX'\]"):
        PredictionSaver(tmp_path, ["PLAX"])
    with pytest.raises(ValueError, match="has 3 outputs, expected 2, "):
        evaluate(PredictionSaver(tmp_path, NAMES[:2]), batches())
    with pytest.raises(ValueError, match="the task 'binary' needs thresholds"):
        PredictionSaver(tmp_path, ["healthy", "ill"], "binary")
    for handler in (PredictionSaver, ClassificationReport):
        with pytest.raises(ValueError, match="takes no thresholds"):
            handler(tmp_path, NAMES, thresholds=0.5)
        with pytest.raises(FileNotFoundError, match=r"no\.json does not exist"):
            evaluate(handler(tmp_path, FINDINGS, "multi_label", tmp_path / "no.json"), findings())
    logits = [[{"image": "a.png", "p": torch.tensor([2.0, -1.0, 0.0])}]]
    with pytest.raises(ValueError, match=r"'pred' of a\.png is .*, expected probabilities: apply Activationsd"):
        evaluate(PredictionSaver(tmp_path, NAMES), logits)
