# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/tasks.md gives what it says."""

from __future__ import annotations

import json

import numpy as np
import torch
from ignite.engine import Engine

from monai_debias.handlers import ClassificationReport
from monai_debias.tasks import TASKS
from tests.docs.guides import CONFIGS, block, read_guide, run_code

GUIDE = read_guide("tasks")


def test_the_metrics_are_what_is_printed(capsys):
    code = block(GUIDE, "python")
    run_code(code, {})
    assert capsys.readouterr().out.strip() == code.rsplit("# ", 1)[1].strip()


def test_the_table_of_tasks_is_complete():
    assert all(f'| `"{task}"` |' in GUIDE for task in TASKS)


def test_the_files_are_those_of_a_report(tmp_path):
    rng = np.random.default_rng(0)
    samples = [
        {"image": f"{i}.png", "label": torch.tensor(i % 2), "split": split, "p": torch.tensor([rng.random()])}
        for i in range(8)
        for split in ("validation", "test")
    ]
    engine = Engine(lambda engine, batch: [{"pred": sample["p"]} for sample in batch])
    ClassificationReport(tmp_path, ["healthy", "ill"], "binary", n_resamples=5).attach(engine)
    engine.run([samples])
    for file in tmp_path.iterdir():
        assert f"`{file.name}`" in GUIDE.replace("`.json`", "`predictions.json`")
    result = json.loads((tmp_path / "metrics.json").read_text())["test"]
    assert all(f"`{key}`" in GUIDE for key in result)


def test_the_options_exist():
    names = ("evaluate", "inference", "train")
    evaluate, inference, train = (json.loads((CONFIGS / f"{name}.json").read_text()) for name in names)
    assert {"thresholds", "threshold_split"} <= evaluate.keys()
    assert {"task", "thresholds"} <= inference.keys()
    assert {"task", "ignore_value"} <= train.keys()
