# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The task of a classifier: one word that decides about labels, loss, decisions, metrics and figures.

=============  ===========================  =======  ====================  ==========================  ===============
task           labels of a batch            logits   probabilities         decision                    loss
=============  ===========================  =======  ====================  ==========================  ===============
softmax        class indices (B,), or rows  (B, K)   softmax               class of the largest        cross-entropy
binary         0 or 1, (B,) or (B, 1)       (B, 1)   sigmoid               yes where p ≥ threshold     binary
                                                                                                       cross-entropy
multi_label    rows of 0 and 1, (B, K)      (B, K)   sigmoid of each       yes where p ≥ that label's  binary
                                                                           threshold                   cross-entropy
=============  ===========================  =======  ====================  ==========================  ===============

A softmax chooses one of K classes; with several labels any number of K findings can be present; a binary task is one
finding. Each logit has an *output name*: for a softmax or several labels these are the ``class_names``; a binary task
has the names of both classes, such as ``["no finding", "fracture"]``, and its output is named after the second one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor
from torch.nn import functional as F  # noqa: N812

from monai_debias.constraints import NONE, Number, OneOf, SequenceOf
from monai_debias.labels import is_missing, label_rows, refuse_labels

__all__ = ["TASK", "TASKS", "THRESHOLDS", "Task"]


class Task(ABC):
    """How one kind of classification treats class names, logits, labels and probabilities."""

    name: str
    key_metric: str
    """The metric that chooses the best epoch, one of :func:`monai_debias.metrics.classification_metrics`."""
    has_thresholds: bool
    """Whether each output has a threshold of its own; otherwise the largest probability decides."""
    least_outputs: int = 1
    most_outputs: float = math.inf

    @abstractmethod
    def output_names(self, class_names: Sequence[str]) -> list[str]:
        """The names of the logits, in their order.

        Args:
            class_names: names of the classes, in the order of the labels.

        Raises:
            ValueError: when there are too few or too many of them, or one occurs twice.
        """

    @abstractmethod
    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of logits (..., K), of the same shape."""

    @abstractmethod
    def mean_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) whose probabilities are the means of those of logits (B, views, K)."""

    @abstractmethod
    def targets(self, labels: NdarrayOrTensor, n_outputs: int, ignored: tuple[float, ...]) -> torch.Tensor:
        """The true value of each output, (N, K): from 0 to 1, and NaN where the label is missing.

        Args:
            labels: labels of N samples, in the form of the task.
            n_outputs: K.
            ignored: values of missing labels.

        Raises:
            ValueError: when the labels do not fit the task.
        """

    def check_outputs(self, n_outputs: int) -> None:
        """Raise a ValueError unless the task can have this many logits."""
        if n_outputs < self.least_outputs or n_outputs > self.most_outputs:
            raise ValueError(
                f"there are {n_outputs} outputs, but the task {self.name!r} has {self.least_outputs}"
                f"{'' if self.most_outputs == self.least_outputs else ' or more'}: choose another task or network."
            )

    def thresholds(self, given: float | Sequence[float | None] | None, n_outputs: int) -> torch.Tensor:
        """The threshold of each output, (K,), in double precision; NaN where there is none.

        Args:
            given: one for all outputs, or one for each; None means 0.5, and inside a sequence, no threshold.
            n_outputs: K.

        Raises:
            ValueError: when the task cannot have K outputs, there are more or fewer thresholds than outputs, or
                thresholds are given for a softmax.
        """
        self.check_outputs(n_outputs)
        if given is not None and not self.has_thresholds:
            raise ValueError(
                f"thresholds is {given!r}, but a softmax predicts the class of the largest probability and takes "
                "no thresholds; leave it out."
            )
        if given is None or isinstance(given, int | float):
            return torch.full((n_outputs,), 0.5 if given is None else given, dtype=torch.float64)
        if len(given) != n_outputs:
            raise ValueError(
                f"there are {len(given)} thresholds for {n_outputs} outputs; give one for each, or a single number."
            )
        return torch.tensor([math.nan if cut is None else cut for cut in given], dtype=torch.float64)

    @abstractmethod
    def decisions(self, probabilities: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
        """What the classifier decides for each output: boolean, (N, K).

        Args:
            probabilities: shape (N, K).
            thresholds: one for each output, shape (K,); a softmax ignores them.
        """


class _Softmax(Task):
    name, key_metric, has_thresholds = "softmax", "accuracy", False
    least_outputs = 2

    def output_names(self, class_names: Sequence[str]) -> list[str]:
        if len(class_names) < 2:
            raise ValueError(f"a softmax needs 2 class_names or more, got {list(class_names)}.")
        return _unique(class_names)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.softmax(-1)

    def mean_logits(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.log_softmax(-1).logsumexp(1) - math.log(logits.shape[1])

    def targets(self, labels: NdarrayOrTensor, n_outputs: int, ignored: tuple[float, ...]) -> torch.Tensor:
        index = convert_to_tensor(labels, track_meta=False)
        if index.ndim == 1 and index.is_floating_point():  # so that a class can be NaN
            missing = is_missing(index, ignored)
            refuse_labels((index != index.round()) & ~missing, index, "is not a class index")
            index = torch.where(missing, -1, index).long()
            ignored = (-1.0,) if bool(missing.any()) else ()
        rows = label_rows(index, n_outputs, ignored)
        sums = rows.sum(1)
        refuse_labels((sums - 1).abs() > 1e-2, sums, "is the sum of its classes, expected 1 as of a distribution")
        return rows

    def decisions(self, probabilities: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
        return F.one_hot(probabilities.argmax(-1), probabilities.shape[-1]).bool()


class _MultiLabel(Task):
    name, key_metric, has_thresholds = "multi_label", "roc_auc", True

    def output_names(self, class_names: Sequence[str]) -> list[str]:
        if not class_names:
            raise ValueError("a multi-label task needs one of class_names or more, got none.")
        return _unique(class_names)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.sigmoid()

    def mean_logits(self, logits: torch.Tensor) -> torch.Tensor:
        return F.logsigmoid(logits).logsumexp(1) - F.logsigmoid(-logits).logsumexp(1)

    def targets(self, labels: NdarrayOrTensor, n_outputs: int, ignored: tuple[float, ...]) -> torch.Tensor:
        rows = convert_to_tensor(labels, track_meta=False)
        if rows.ndim != 2:
            raise ValueError(
                f"expected labels of shape (N, {n_outputs}), one for each of the {n_outputs} logits, got shape "
                f"{tuple(rows.shape)}."
            )
        return label_rows(rows.double(), n_outputs, ignored)

    def decisions(self, probabilities: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
        return probabilities >= thresholds


class _Binary(_MultiLabel):
    name, most_outputs = "binary", 1

    def output_names(self, class_names: Sequence[str]) -> list[str]:
        if len(class_names) != 2:
            raise ValueError(
                f"a binary task needs the names of its negative and its positive class, got {list(class_names)}."
            )
        return _unique(class_names)[1:]

    def targets(self, labels: NdarrayOrTensor, n_outputs: int, ignored: tuple[float, ...]) -> torch.Tensor:
        rows = convert_to_tensor(labels, track_meta=False)
        return label_rows(rows.reshape(len(rows), -1).double(), 1, ignored)


TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (_Softmax(), _Binary(), _MultiLabel())})
"""The three tasks by name."""
TASK = OneOf(*TASKS)
_THRESHOLD = Number("[0, 1]")
THRESHOLDS = (NONE | _THRESHOLD | SequenceOf(NONE | _THRESHOLD, least=1)).called(
    "None, a threshold in [0, 1], or one for each output (None where there is none)"
)


def _unique(names: Sequence[str]) -> list[str]:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ValueError(
            f"class_names has {', '.join(map(repr, repeated))} more than once, expected another name for each class."
        )
    return list(names)
