# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The questions that a classifier answers: one for a softmax or a binary task, one for each of several labels.

All checks speak of classes, of the network's score for the true one, and of right and wrong answers. Scores are
log-odds, log p / (1 - p): unlike the logits of a softmax they have a meaning one by one, and they do not saturate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.tasks import TASKS

__all__ = ["Question", "log_odds", "questions_of"]

_LARGEST = 20.0  # |log-odds|: differences beyond it mean nothing, and would outweigh all others


@dataclass(frozen=True)
class Question:
    """One classification of all images.

    Args:
        name: name of the label; empty if there is only one question.
        classes: true class of each image, -1 where it is not known, shape (N,).
        class_names: names of the classes.
        output: the output that answers yes or no; None where the largest of all outputs decides.
        threshold: log-odds from which the answer is yes.
    """

    name: str
    classes: NDArray[np.int64]
    class_names: tuple[str, ...]
    output: int | None
    threshold: float = 0.0

    def __str__(self) -> str:
        return f" ({self.name})" if self.name else ""

    def scores(self, odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The log-odds that decide, (N, J): of all classes, or of the yes alone.

        Args:
            odds: log-odds of all outputs, (N, K).
        """
        if self.output is not None:
            return odds[:, [self.output]]
        return odds[:, 1:] if odds.shape[1] == 2 else odds  # of two, one says it all

    def own(self, odds: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The log-odds of the true class.

        Args:
            odds: log-odds of some images, (B, K).
            rows: which images these are, (B,); their classes are known.
        """
        true = self.classes[rows]
        if self.output is None:
            return odds[np.arange(len(rows)), true]
        return np.where(true == 1, 1.0, -1.0) * odds[:, self.output]

    def right(self, odds: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the network decides for the true class; arguments as in :meth:`own`."""
        if self.output is None:
            return odds.argmax(1) == self.classes[rows]
        return (odds[:, self.output] >= self.threshold) == (self.classes[rows] == 1)

    def decided(self, odds: NDArray[np.float64]) -> NDArray[np.int64]:
        """The class that the network decides for, of log-odds (B, K)."""
        if self.output is None:
            return odds.argmax(1)
        return (odds[:, self.output] >= self.threshold).astype(np.int64)


def log_odds(logits: torch.Tensor, task: str) -> NDArray[np.float64]:
    """Log-odds of each output's probability, within ± 20.

    Args:
        logits: shape (B, K).
        task: see :mod:`monai_debias.tasks`.

    Returns:
        Shape (B, K): the logits themselves, or for a softmax z_k - log Σ_{j≠k} exp z_j.

    Example:
        >>> log_odds(torch.tensor([[1.0, 0.0], [0.0, 99.0]]), "softmax").tolist()
        [[1.0, -1.0], [-20.0, 20.0]]
    """
    z = logits.detach().cpu().double()
    if not TASKS[task].has_thresholds:
        others = torch.stack([torch.cat([z[:, :k], z[:, k + 1 :]], 1).logsumexp(1) for k in range(z.shape[1])], 1)
        z = z - others
    return z.clamp(-_LARGEST, _LARGEST).numpy()


def questions_of(
    targets: NDArray[np.float64], task: str, class_names: Sequence[str], thresholds: Sequence[float]
) -> list[Question]:
    """The questions of a task.

    Args:
        targets: true value of each output, NaN where it is missing, (N, K).
        task: see :mod:`monai_debias.tasks`.
        class_names: as the task takes them.
        thresholds: probability from which each output says yes, (K,).

    Returns:
        One question, or one for each label of a multi-label task.

    Example:
        >>> questions_of(np.array([[1.0, np.nan], [0.0, 1.0]]), "multi_label", ["a", "b"], [0.5, 0.5])[1].classes
        array([-1,  1])
    """
    if task == "softmax":
        known = ~np.isnan(targets).any(1)
        classes = np.where(known, np.nan_to_num(targets).argmax(1), -1)
        return [Question("", classes, tuple(class_names), None)]
    cuts = np.clip(thresholds, 1e-9, 1 - 1e-9)
    cuts = np.log(cuts / (1 - cuts))
    binary = task == "binary"
    return [
        Question(
            "" if binary else class_names[k],
            np.where(np.isnan(targets[:, k]), -1, np.nan_to_num(targets[:, k]) > 0.5).astype(np.int64),
            tuple(class_names) if binary else (f"no {class_names[k]}", class_names[k]),
            k,
            float(cuts[k]),
        )
        for k in range(targets.shape[1])
    ]
