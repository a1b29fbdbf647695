# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A metric of a task for MONAI's evaluators, by which the best epoch can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from monai.handlers import from_engine

from monai_debias.constraints import NONE, Instance, OneOf
from monai_debias.distributed import gathered
from monai_debias.labels import IGNORE_VALUE
from monai_debias.metrics.classification import classification_metrics
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, TASKS

__all__ = ["ClassificationMetric"]

_METRIC = OneOf("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "average_precision")


class ClassificationMetric(Metric):
    """An overall metric of :func:`~monai_debias.metrics.classification_metrics`, over an epoch and all processes.

    The evaluator's output must have probabilities (K,) under ``"pred"``, which its post-processing computes from the
    logits, and the label under ``"label"``, in the form that the task needs.

    Args:
        metric: "accuracy", "balanced_accuracy", "f1_macro", "roc_auc" or "average_precision". Decisions about several
            labels, or of a binary task, are made at 0.5.
        task: "softmax", "binary" or "multi_label", see :mod:`monai_debias.tasks`.
        ignore_value: the value of a missing label, e.g. -1 or NaN.
        device: where the predictions of an epoch are kept; None for the CPU.

    Raises:
        ValueError: at the end of an epoch, when the metric is not defined, such as an AUC of data without positives,
            and as :func:`~monai_debias.metrics.classification_metrics`.

    Example:
        >>> from monai.engines import SupervisedEvaluator
        >>> batch = {"image": torch.tensor([[0.9], [0.2], [0.4]]), "label": torch.tensor([1, 0, 0])}
        >>> evaluator = SupervisedEvaluator(
        ...     torch.device("cpu"), [batch], torch.nn.Identity(), decollate=False,
        ...     key_val_metric={"val_roc_auc": ClassificationMetric("roc_auc", "binary")},
        ... )
        >>> evaluator.run()
        >>> evaluator.state.metrics["val_roc_auc"]
        1.0
    """

    @expects(metric=_METRIC, task=TASK, ignore_value=IGNORE_VALUE, device=NONE | Instance(torch.device))
    def __init__(
        self,
        metric: str,
        task: str = "softmax",
        ignore_value: float | Sequence[float] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.metric = metric
        self.task = task
        self.ignore_value = ignore_value
        super().__init__(_pred_and_label, device=device or torch.device("cpu"))

    @classmethod
    def as_key_metric(
        cls,
        task: str = "softmax",
        ignore_value: float | Sequence[float] | None = None,
        device: torch.device | None = None,
    ) -> dict[str, Metric]:
        """The metric that chooses the best epoch of a task, in the form that ``key_val_metric`` takes.

        Args:
            task: see above.
            ignore_value: see above.
            device: see above.

        Returns:
            ``{"val_accuracy": …}`` for a softmax, else ``{"val_roc_auc": …}``, which needs no threshold: a training
            does not have one yet.
        """
        TASK.check("task", task)
        name = TASKS[task].key_metric
        return {f"val_{name}": cls(name, task, ignore_value, device)}

    def reset(self) -> None:
        """Begin an epoch."""
        self._batches: list[tuple[torch.Tensor, torch.Tensor]] = []

    def update(self, output: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Keep the probabilities (B, K) and the labels of a batch."""
        probabilities, labels = (part.detach().as_subclass(torch.Tensor).to(self._device) for part in output)
        self._batches.append((probabilities.float(), labels))

    def compute(self) -> float:
        """The metric of all samples, of all processes."""
        batches = gathered([(probabilities.cpu(), labels.cpu()) for probabilities, labels in self._batches])
        if not batches:
            raise NotComputableError(f"{self.metric} cannot be computed: the evaluator ran over no validation data.")
        probabilities, labels = (torch.cat(column).numpy() for column in zip(*batches, strict=True))
        found = classification_metrics(labels, probabilities, self.task, ignore_value=self.ignore_value, n_resamples=0)
        value, *_, note = found.overall[self.metric]
        if value is None:
            raise ValueError(
                f"{self.metric} of the validation data is {note}: give validation data with positive and negative "
                "labels, or choose another metric."
            )
        return value


def _pred_and_label(output: Any) -> Any:
    """What ``from_engine(["pred", "label"])`` does, which itself cannot be pickled."""
    return from_engine(["pred", "label"])(output)
