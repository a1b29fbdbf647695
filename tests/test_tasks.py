# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from monai_debias.tasks import TASKS

NAN = math.nan


@pytest.mark.parametrize(
    ("task", "class_names", "outputs"),
    [
        ("softmax", ["A2C", "A4C"], ["A2C", "A4C"]),
        ("binary", ["healthy", "fracture"], ["fracture"]),
        ("multi_label", ["cyst"], ["cyst"]),
    ],
)
def test_the_outputs_have_names(task, class_names, outputs):
    assert TASKS[task].output_names(class_names) == outputs


@pytest.mark.parametrize(
    ("task", "class_names", "message"),
    [
        ("softmax", ["A2C"], r"2 class_names or more, got \['A2C'\]"),
        ("binary", ["fracture"], r"its negative and its positive class, got \['fracture'\]"),
        ("binary", ["a", "b", "c"], "its negative and its positive class"),
        ("multi_label", [], "got none"),
        ("multi_label", ["cyst", "stone", "cyst"], "'cyst' more than once"),
    ],
)
def test_names_that_are_not_those_of_the_task(task, class_names, message):
    with pytest.raises(ValueError, match=message):
        TASKS[task].output_names(class_names)


@pytest.mark.parametrize(
    ("task", "labels", "n_outputs", "ignored", "targets"),
    [
        ("softmax", torch.tensor([2, 0]), 3, (), [[0, 0, 1], [1, 0, 0]]),
        ("softmax", torch.tensor([[2], [0]]), 3, (), [[0, 0, 1], [1, 0, 0]]),
        ("softmax", torch.tensor([2, -1]), 3, (-1,), [[0, 0, 1], [NAN, NAN, NAN]]),
        ("softmax", torch.tensor([1.0, NAN]), 2, (NAN,), [[0, 1], [NAN, NAN]]),
        ("softmax", torch.tensor([[0.0, 1.0], [NAN, NAN]]), 2, (NAN,), [[0, 1], [NAN, NAN]]),
        ("binary", torch.tensor([1, 0, -1]), 1, (-1,), [[1], [0], [NAN]]),
        ("binary", torch.tensor([[1.0], [NAN]]), 1, (NAN,), [[1], [NAN]]),
        ("binary", torch.tensor([True, False]), 1, (), [[1], [0]]),
        ("multi_label", torch.tensor([[1, 0], [-1, 1]]), 2, (-1,), [[1, 0], [NAN, 1]]),
        ("multi_label", torch.tensor([[1.0, NAN]]), 2, (NAN, -1), [[1, NAN]]),
        ("multi_label", torch.tensor([[1], [0]]), 1, (), [[1], [0]]),
    ],
)
def test_targets_have_one_form(task, labels, n_outputs, ignored, targets):
    found = TASKS[task].targets(labels, n_outputs, ignored)
    assert torch.allclose(found.float(), torch.tensor(targets, dtype=torch.float32), equal_nan=True)


@pytest.mark.parametrize("task", TASKS)
def test_mean_logits_are_those_of_the_mean_probabilities(task):
    logits = 5 * torch.randn(4, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kind = TASKS[task]
    expected = (logits.softmax(-1) if task == "softmax" else 1 / (1 + (-logits).exp())).mean(1)
    assert torch.allclose(kind.probabilities(kind.mean_logits(logits)), expected)
    extreme = torch.tensor([[[1e4, -1e4]] * 2])
    assert torch.equal(kind.probabilities(kind.mean_logits(extreme)), torch.tensor([[1.0, 0.0]]))


def test_decisions():
    p = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.45, 0.45]])
    chosen = TASKS["softmax"].decisions(p, TASKS["softmax"].thresholds(None, 3))
    assert chosen.tolist() == [[True, False, False], [False, True, False]]
    cuts = TASKS["multi_label"].thresholds([0.5, None, 0.4], 3)
    assert TASKS["multi_label"].decisions(p, cuts).tolist() == [[True, False, False], [False, False, True]]
    assert TASKS["binary"].decisions(p[:, :1], TASKS["binary"].thresholds(None, 1)).tolist() == [[True], [False]]


@pytest.mark.parametrize(
    ("task", "given", "n_outputs", "message"),
    [
        ("softmax", 0.5, 3, "takes no thresholds"),
        ("softmax", None, 1, "there are 1 outputs, but the task 'softmax' has 2 or more"),
        ("binary", None, 2, "there are 2 outputs, but the task 'binary' has 1: choose another task"),
        ("multi_label", [0.5], 2, "there are 1 thresholds for 2 outputs"),
    ],
)
def test_thresholds_that_do_not_fit(task, given, n_outputs, message):
    with pytest.raises(ValueError, match=message):
        TASKS[task].thresholds(given, n_outputs)
