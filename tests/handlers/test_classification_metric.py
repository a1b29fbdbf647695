# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from monai_debias.handlers import BestModel, ClassificationMetric
from tests.handlers import metric_ddp

EXAMPLES = {
    ClassificationMetric: [
        {"metric": "accuracy"},
        {"metric": "roc_auc", "ignore_value": -1},
        {"metric": "accuracy", "ignore_value": [-1, -100]},
    ]
}


def measured(task: str, logits: torch.Tensor, label: torch.Tensor, **metrics: ClassificationMetric) -> dict[str, float]:
    """What an evaluator says of a network that gives the logits, in batches of 4 of which the last is smaller."""
    loader = [{"image": x, "label": y} for x, y in zip(logits.split(4), label.split(4), strict=True)]
    evaluator = SupervisedEvaluator(
        torch.device("cpu"),
        loader,
        torch.nn.Identity(),
        postprocessing=Activationsd("pred", softmax=task == "softmax", sigmoid=task != "softmax"),
        key_val_metric=ClassificationMetric.as_key_metric(task, ignore_value=-1),
        additional_metrics=metrics,
    )
    evaluator.run()
    return evaluator.state.metrics


def test_key_metrics_of_the_three_tasks():
    generator = torch.Generator().manual_seed(0)
    logits, classes = torch.randn(30, 3, generator=generator), torch.arange(30) % 3
    classes[7] = -1
    known = classes >= 0
    found = measured("softmax", logits, classes)
    assert found == {"val_accuracy": pytest.approx(accuracy_score(classes[known], logits[known].argmax(1)))}

    yes = torch.arange(30) % 2
    for label in (yes, yes[:, None], yes[:, None].float()):
        found = measured("binary", logits[:, :1], label, ap=ClassificationMetric("average_precision", "binary"))
        assert found == {
            "val_roc_auc": pytest.approx(roc_auc_score(yes, logits[:, 0])),
            "ap": pytest.approx(average_precision_score(yes, logits[:, 0])),
        }

    rows = (torch.rand(30, 3, generator=generator) < 0.4).float()
    rows[torch.rand(30, 3, generator=generator) < 0.2] = -1
    found = measured("multi_label", logits, rows)
    aucs = [roc_auc_score(y[y >= 0], z[y >= 0]) for y, z in zip(rows.T, logits.T, strict=True)]
    assert found == {"val_roc_auc": pytest.approx(np.mean(aucs))}


def test_data_that_do_not_define_it_are_an_error():
    with pytest.raises(ValueError, match=r"roc_auc of the validation data is undefined: .* choose another metric"):
        measured("binary", torch.zeros(6, 1), torch.ones(6, 1))


def test_two_processes_measure_all_samples_together(of_two_processes):
    expected = metric_ddp.measured(*metric_ddp.samples())
    found = [torch.load(of_two_processes / f"metric_{rank}.pt", weights_only=True) for rank in range(2)]
    assert found == [pytest.approx(expected)] * 2


def test_the_best_model_is_chosen_by_it():
    network = torch.nn.Linear(1, 1)
    best = BestModel(network)
    evaluator = SupervisedEvaluator(
        torch.device("cpu"),
        [{"image": torch.tensor([[0.0], [1.0], [2.0]]), "label": torch.tensor([0, 0, 1])}],
        network,
        postprocessing=Activationsd("pred", sigmoid=True),
        key_val_metric=ClassificationMetric.as_key_metric("binary"),
        val_handlers=[best],
    )
    for epoch, weight in enumerate((-1.0, 1.0, -0.5), 1):
        torch.nn.init.constant_(network.weight, weight)
        evaluator.run(global_epoch=epoch)
    assert (best.metric, best.score, best.epoch, best.weights["weight"].item()) == ("val_roc_auc", 1.0, 2, 1.0)
