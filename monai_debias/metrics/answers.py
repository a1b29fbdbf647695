# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""True labels and predictions of a classifier, in one form for every task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from monai_debias.labels import ignored_values, refuse_labels
from monai_debias.tasks import TASKS

__all__ = ["Answers", "collect_answers"]


class Answers(NamedTuple):
    """Labels and predictions of N samples and K outputs."""

    names: list[str]
    """Names of the outputs."""
    truth: NDArray[np.bool_]
    """Whether the label is 1, (N, K); False where it is missing."""
    known: NDArray[np.bool_]
    """Whether the label is known, (N, K)."""
    probabilities: NDArray[np.float64]
    """Predicted probabilities, (N, K)."""
    decisions: NDArray[np.bool_]
    """Whether the classifier predicts the label, (N, K)."""
    decided: NDArray[np.bool_]
    """Whether the output has a threshold, without which its decisions mean nothing, (K,)."""


def collect_answers(
    labels: ArrayLike,
    probabilities: ArrayLike,
    task: str,
    class_names: Sequence[str] | None = None,
    thresholds: float | Sequence[float | None] | None = None,
    ignore_value: float | Sequence[float] | None = None,
) -> Answers:
    """Check labels and probabilities of a task, and convert them to one form.

    Args:
        labels: labels of N samples, in the form of the task.
        probabilities: shape (N, K), or (N,) for one output.
        task: see :mod:`monai_debias.tasks`.
        class_names: names of the classes; by default the numbers from 0.
        thresholds: thresholds of the outputs; None for 0.5 each, or for a softmax.
        ignore_value: the value of a missing label.

    Raises:
        ValueError: when shapes do not fit, there are no samples, a probability is not in [0, 1], a known label is
            neither 0 or 1 nor a class, or thresholds are given for a softmax.
    """
    kind, p = TASKS[task], torch.as_tensor(np.asarray(probabilities, dtype=np.float64))
    y = np.asarray(labels)
    p = p[:, None] if p.ndim == 1 else p
    if p.ndim != 2 or not y.ndim or len(y) != len(p) or not p.numel():
        raise ValueError(
            f"expected labels and probabilities (N, K) of the same N > 0 samples, got {y.shape} and {tuple(p.shape)}."
        )
    wrong = int((~((p >= 0) & (p <= 1))).any(1).sum())
    if wrong:
        raise ValueError(
            f"{wrong} of {len(p)} samples have probabilities that are NaN or not in [0, 1]; give probabilities and not "
            "logits, e.g. with Activationsd."
        )
    names = _names(task, class_names, p.shape[1])
    target = kind.targets(torch.as_tensor(y), len(names), ignored_values(ignore_value))
    known = ~target.isnan()
    refuse_labels(known & (target != 0) & (target != 1), target, "is neither 0 nor 1")
    cuts = kind.thresholds(thresholds, len(names)).to(p)
    return Answers(
        names,
        (target == 1).numpy(),
        known.numpy(),
        p.numpy(),
        kind.decisions(p, cuts).numpy(),
        (~cuts.isnan()).numpy(),
    )


def _names(task: str, class_names: Sequence[str] | None, n_outputs: int) -> list[str]:
    numbers = [str(k) for k in range(2 if task == "binary" else n_outputs)]
    names = TASKS[task].output_names(numbers if class_names is None else class_names)
    if len(names) != n_outputs:
        raise ValueError(
            f"the task {task!r} has the outputs {names}, but there are {n_outputs} probabilities for each sample: give "
            "the class_names of the classifier."
        )
    return names
