# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The content of ``metrics.json`` for one split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_debias.handlers.collected import Collected
from monai_debias.metrics.answers import Answers, collect_answers
from monai_debias.metrics.classification import Estimate, classification_metrics
from monai_debias.tasks import TASKS

__all__ = ["split_results"]


def split_results(
    collected: Collected,
    chosen: Sequence[bool],
    groups: Sequence[str],
    thresholds: float | Sequence[float | None] | None,
    **bootstrap: Any,
) -> dict[str, Any]:
    """Metrics, counts and confusion of some of the samples, as plain values.

    Args:
        collected: all samples, with their labels.
        chosen: which of them belong to the split.
        groups: the patient of each sample, of all samples.
        thresholds: thresholds of the outputs.
        bootstrap: ``n_resamples``, ``confidence`` and ``seed``.

    Returns:
        ``samples``, ``unlabelled`` (those without any known label), ``patients``; ``metrics`` as ``[value, low, high]``
        with ``notes``; ``labels``, which has the same for each output, with its ``threshold``, its numbers of ``known``
        and ``positive`` labels, and its ``confusion`` [[true negatives, false positives], [false negatives, true
        positives]]; ``confusion`` of the classes, (K, K) with the true ones along the rows. What is not defined is
        None.
    """
    data = collected.targets[chosen], collected.probabilities[chosen], collected.task, collected.class_names
    nan, patients = float("nan"), [group for group, is_chosen in zip(groups, chosen, strict=True) if is_chosen]
    answers = collect_answers(*data, thresholds, nan)
    found = classification_metrics(*data, thresholds, nan, patients, **bootstrap)
    cuts = TASKS[collected.task].thresholds(thresholds, len(answers.names)).tolist()
    has_cuts = TASKS[collected.task].has_thresholds & answers.decided
    labels = {
        name: {
            **_counts(answers, k),
            "threshold": cuts[k] if has_cuts[k] else None,
            **_metrics_and_notes(found.labels[name]),
        }
        for k, name in enumerate(answers.names)
    }
    return {
        "samples": len(answers.known),
        "unlabelled": int((~answers.known.any(1)).sum()),
        "patients": len(set(patients)),
        **_metrics_and_notes(found.overall),
        "confusion": _confusion_of_classes(answers, collected),
        "labels": labels,
    }


def _metrics_and_notes(metrics: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        "metrics": {name: list(estimate[:3]) for name, estimate in metrics.items()},
        "notes": {name: estimate.note for name, estimate in metrics.items() if estimate.note},
    }


def _counts(answers: Answers, k: int) -> dict[str, Any]:
    """Counts of one output."""
    known, truth, said = (part[:, k] for part in (answers.known, answers.truth, answers.decisions))
    return {
        "known": int(known.sum()),
        "positive": int(truth[known].sum()),
        "confusion": _confusion(truth[known], said[known], 2) if answers.decided[k] else None,
    }


def _confusion_of_classes(answers: Answers, collected: Collected) -> list[list[int]] | None:
    """Confusion matrix of a task with one class per sample; None for several labels, which have one matrix each."""
    known = answers.known[:, 0]
    truth, said = answers.truth[known], answers.decisions[known]
    if collected.task == "softmax":
        return _confusion(truth.argmax(1), said.argmax(1), len(answers.names))
    if collected.task == "binary" and answers.decided[0]:
        return _confusion(truth[:, 0], said[:, 0], 2)
    return None


def _confusion(truth: NDArray, said: NDArray, size: int) -> list[list[int]]:
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, (truth.astype(int), said.astype(int)), 1)
    return counts.tolist()
