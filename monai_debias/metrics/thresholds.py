# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Decision thresholds: the probability from which the answer is yes, chosen on validation data and kept in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_curve

from monai_debias.constraints import NONE, NUMBERS, STRING, OneOf, SequenceOf
from monai_debias.files import write_json
from monai_debias.labels import IGNORE_VALUE
from monai_debias.metrics.answers import collect_answers
from monai_debias.parameters import expects
from monai_debias.tasks import TASKS

__all__ = ["Threshold", "choose_thresholds", "read_thresholds", "write_thresholds"]


class Threshold(NamedTuple):
    """The probability from which the answer is yes, None if it is undefined, and the numbers of labels behind it."""

    value: float | None
    known: int
    positive: int
    note: str


@expects(
    labels=NUMBERS,
    probabilities=NUMBERS,
    task=OneOf(*(name for name, task in TASKS.items() if task.has_thresholds)),
    class_names=NONE | SequenceOf(STRING, least=1),
    ignore_value=IGNORE_VALUE,
)
def choose_thresholds(
    labels: ArrayLike,
    probabilities: ArrayLike,
    task: str = "multi_label",
    class_names: Sequence[str] | None = None,
    ignore_value: float | Sequence[float] | None = None,
) -> dict[str, Threshold]:
    """Choose the threshold of each output by Youden's index: the largest sensitivity + specificity - 1.

    The index does not depend on the prevalence of a finding, so that a threshold remains valid where it is rarer. The
    threshold lies in the middle between two neighbouring probabilities, among which 0 and 1 count; of equally good
    ones, that nearest to 0.5 is taken. An output without positives or without negatives has none.

    Choose on validation data. Thresholds look better than they are on the data on which they were chosen.

    Args:
        labels: true labels, shape (N,) or (N, 1) of a binary task, (N, K) of several labels; see
            :func:`classification_metrics`.
        probabilities: shape (N, K).
        task: "binary" or "multi_label".
        class_names: names of the classes; by default "0", …
        ignore_value: the value of a missing label, e.g. -1 or NaN.

    Returns:
        For each output ``(value, known, positive, note)``: the threshold, the number of known and of positive labels,
        and the reason if there is no threshold.

    Raises:
        ValueError: as :func:`classification_metrics`.

    Reference:
        Youden, Index for rating diagnostic tests, Cancer 3, 1950.

    Example:
        >>> choose_thresholds([0, 0, 1, 1], [0.1, 0.3, 0.2, 0.8], "binary", ["healthy", "fracture"])
        {'fracture': Threshold(value=0.55, known=4, positive=2, note='')}
    """
    found = collect_answers(labels, probabilities, task, class_names, None, ignore_value)
    columns = zip(found.truth.T, found.probabilities.T, found.known.T, strict=True)
    return {n: _threshold(y[there], p[there]) for n, (y, p, there) in zip(found.names, columns, strict=True)}


def _threshold(truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> Threshold:
    known, positive = len(truth), int(truth.sum())
    if positive in (0, known):
        what = (
            f"no {'negatives' if positive else 'positives'} among {known} known labels" if known else "no known labels"
        )
        return Threshold(None, known, positive, f"undefined: {what}")
    false_alarms, hits, scores = roc_curve(truth, probabilities, drop_intermediate=False)
    edges = np.array([1.0, *scores[1:], 0.0])  # the first score is infinite
    cuts = (edges[:-1] + edges[1:]) / 2
    index = hits - false_alarms
    best = cuts[np.isclose(index, index.max(), rtol=0, atol=1e-12)]
    return Threshold(float(best[np.abs(best - 0.5).argmin()]), known, positive, "")


def write_thresholds(path: str | os.PathLike, thresholds: Mapping[str, Threshold], task: str, source: str) -> None:
    """Write thresholds as JSON in place of an older file.

    Args:
        path: the file.
        thresholds: from :func:`choose_thresholds`.
        task: task of the classifier.
        source: name of the split that they were chosen on.
    """
    each = {name: threshold._asdict() for name, threshold in thresholds.items()}
    write_json(path, {"task": task, "chosen_on": source, "rule": "Youden's index", "thresholds": each})


def read_thresholds(path: str | os.PathLike, task: str, output_names: Sequence[str]) -> list[float | None]:
    """Read thresholds that :func:`write_thresholds` wrote.

    Args:
        path: the file.
        task: task of the classifier that uses them.
        output_names: its outputs, in their order.

    Returns:
        The threshold of each output, None if it has none.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is not a file of thresholds, or is of another task or other outputs.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"the file of thresholds {path} does not exist: an evaluation with validation data writes it; or give a "
            "number such as 0.5 instead."
        )
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("thresholds"), dict):
        raise ValueError(f"{path} has no thresholds: expected a thresholds.json of an evaluation.")
    there = (content.get("task"), list(content["thresholds"]))
    if there != (task, list(output_names)):
        raise ValueError(
            f"{path} has the thresholds of {there[1]} in the task {there[0]!r}, but the classifier has the outputs "
            f"{list(output_names)} of the task {task!r}: give the file of its own evaluation."
        )
    return [entry["value"] for entry in content["thresholds"].values()]
