# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The classification loss of a task, with missing labels left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_debias.labels import IGNORE_VALUE, ignored_values
from monai_debias.losses.classification import REDUCTION, CrossEntropy, sample_losses
from monai_debias.losses.reduction import reduce
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, TASKS
from monai_debias.without_waiting import in_training_step

__all__ = ["TaskLoss"]


class TaskLoss(_Loss):
    """Cross-entropy for a softmax task, binary cross-entropy for a binary one or for each of several labels.

    A missing label costs nothing, and the mean is over the known ones of all processes. Other losses of this package
    take it as their ``classification_loss`` with ``reduction="none"``.

    Args:
        task: "softmax", "binary" or "multi_label", see :mod:`monai_debias.tasks`.
        ignore_value: what stands for a missing label, e.g. -1 or NaN, or several such numbers; None if there are none.
        reduction: ``"mean"`` or ``"sum"`` over the batch, or ``"none"`` for one value per sample, shape (B,).

    Raises:
        ValueError: in a call, when the network has another number of logits than the task, or labels do not fit them.
        TypeError: in a call, when the labels are not a tensor.
        FloatingPointError: in a call, when logits or losses are NaN or infinite.

    Example:
        >>> import torch
        >>> loss = TaskLoss("multi_label", ignore_value=-1)
        >>> loss(torch.zeros(2, 2), torch.tensor([[1, 0], [-1, 1]]))  # ln 2 of each of the three known labels
        tensor(0.6931)
    """

    @expects(task=TASK, ignore_value=IGNORE_VALUE, reduction=REDUCTION)
    def __init__(
        self,
        task: str = "softmax",
        ignore_value: float | Sequence[float] | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.kind = TASKS[task]
        self.ignore_value = ignored_values(ignore_value)
        self.entropy = CrossEntropy(multi_label=self.kind.has_thresholds)
        self.label_kind = self.entropy.label_kind

    @in_training_step
    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            pred: logits (B, K).
            label: class indices (B,) or rows (B, K), as the task needs; for a binary task (B,) or (B, 1).

        Returns:
            The reduced loss, or shape (B,) for ``reduction="none"``.
        """
        if pred.ndim == 2:
            self.kind.check_outputs(pred.shape[1])
        return reduce(sample_losses(self.entropy, pred, label, self.ignore_value), self.reduction)
