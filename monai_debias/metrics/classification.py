# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The metrics in which every split of every bundle is reported, with their confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monai_debias.constraints import KEY, NONE, NUMBERS, SEED, STRING, Integer, Number, SequenceOf
from monai_debias.labels import IGNORE_VALUE
from monai_debias.metrics.answers import Answers, collect_answers
from monai_debias.metrics.auc_interval import auc_interval
from monai_debias.metrics.label_scores import LABEL_METRICS, label_scores, mean_of_defined, ratio
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, TASKS, THRESHOLDS

__all__ = ["ClassificationMetrics", "Estimate", "classification_metrics"]

_N_OF_DECISIONS = 3  # of the metrics of a label, the first ones: without a threshold they are not defined
_AREA = LABEL_METRICS.index("roc_auc")
_CHUNK = 2_000_000  # weights of resamples at a time


class Estimate(NamedTuple):
    """A metric and its interval from ``low`` to ``high``; None if it is not defined, and ``note`` says why."""

    value: float | None
    low: float | None
    high: float | None
    note: str


class ClassificationMetrics(NamedTuple):
    """Metrics of a task as a whole, and of each of its outputs by name."""

    overall: dict[str, Estimate]
    labels: dict[str, dict[str, Estimate]]


@expects(
    labels=NUMBERS,
    probabilities=NUMBERS,
    task=TASK,
    class_names=NONE | SequenceOf(STRING, least=1),
    thresholds=THRESHOLDS,
    ignore_value=IGNORE_VALUE,
    groups=NONE | SequenceOf(KEY),
    n_resamples=Integer("[0, inf)"),
    confidence=Number("(0, 1)"),
    seed=SEED,
)
def classification_metrics(
    labels: ArrayLike,
    probabilities: ArrayLike,
    task: str = "softmax",
    class_names: Sequence[str] | None = None,
    thresholds: float | Sequence[float | None] | None = None,
    ignore_value: float | Sequence[float] | None = None,
    groups: Sequence[str] | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ClassificationMetrics:
    """Metrics of a classifier with percentile bootstrap intervals over patients, the same ones for every task.

    For each output (in a softmax: each class against the others): sensitivity, specificity, F1, ROC AUC and average
    precision. Overall: ``accuracy``, the share of correct decisions; ``balanced_accuracy``, the mean sensitivity of the
    classes of a softmax, else the mean of sensitivity and specificity; ``f1_macro``, ``roc_auc`` and
    ``average_precision``, means over the outputs; ``roc_auc_micro``, the ROC AUC of all pairs of a sample and an output
    together. A missing label is left out of the metrics of its output only.

    **Undefined metrics** are None and have a note: F1 and sensitivity without positives, specificity without negatives,
    ROC AUC and average precision without one of the two, and metrics of decisions without a threshold. A mean is taken
    over the outputs whose metric is defined, and its note names the others.

    **Intervals.** Whole groups are drawn with replacement, since the images of one patient are not independent of each
    other; samples without any known label are left out first. A resample in which a metric is not defined does not
    count for it. If it is undefined in half of the resamples or more, or a single group has all samples, there is no
    interval. ``roc_auc_delong`` of each output is its ROC AUC once more, with the interval of
    :func:`~monai_debias.metrics.auc_interval.auc_interval`: DeLong's where each group is one sample, else Obuchowski's,
    since DeLong's takes the images of one patient for independent ones. The bootstrap is the one to report; the other
    is there to compare with papers, and as a check, since it needs no resamples.

    Args:
        labels: true labels, NaN only if ``ignore_value`` says so: class indices (N,) of a softmax, 0 and 1 of shape
            (N,) or (N, 1) of a binary task, rows of 0 and 1 of shape (N, K) of several labels.
        probabilities: shape (N, K), of a binary task (N, 1) or (N,).
        task: "softmax", "binary" or "multi_label", see :mod:`monai_debias.tasks`.
        class_names: names of the classes; of a binary task the negative and the positive one. By default "0", …
        thresholds: the probability from which the answer is yes, one for all outputs or one each, None for an output
            without one. By default 0.5. Choose them with :func:`choose_thresholds`. A softmax takes none.
        ignore_value: the value of a missing label, e.g. -1 or NaN.
        groups: the group of each sample, length N, usually its patient, which is resampled as a whole; by default each
            sample is its own group.
        n_resamples: how many resamples are drawn; 0 for no intervals, and no ``roc_auc_delong``.
        confidence: coverage of the intervals, in (0, 1).
        seed: seed of the resampling.

    Returns:
        ``(overall, labels)``: ``overall[metric]`` and ``labels[output][metric]`` are tuples
        ``(value, low, high, note)``.

    Raises:
        ValueError: when shapes or ``groups`` do not fit, there are no samples, a known label does not fit the task, a
            probability is NaN or not in [0, 1], or names or thresholds do not fit the outputs.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals); DeLong et al.,
        Biometrics 1988; Obuchowski, Biometrics 1997.

    Example:
        >>> labels, p = [[1, 0], [0, 0], [1, -1]], [[0.9, 0.2], [0.3, 0.6], [0.2, 0.5]]
        >>> found = classification_metrics(labels, p, "multi_label", ["cyst", "stone"], ignore_value=-1, n_resamples=0)
        >>> found.labels["cyst"]["roc_auc"].value, found.labels["stone"]["roc_auc"]
        (0.5, Estimate(value=None, low=None, high=None, note='undefined: no positives among 2 known labels'))
    """
    answers = collect_answers(labels, probabilities, task, class_names, thresholds, ignore_value)
    names = np.arange(len(answers.truth)) if groups is None else np.asarray(groups)
    if len(names) != len(answers.truth):
        raise ValueError(f"groups has {len(names)} entries for {len(answers.truth)} samples; give one for each.")
    parts = [_measured(answers, weights, task) for weights in _weights(names, answers.known, n_resamples, seed)]
    accuracy, scores, pooled = (np.concatenate(part) for part in zip(*parts, strict=True))
    tail = (1 - confidence) / 2 if n_resamples else None
    means = _averaged(scores, task).items()
    overall = {"accuracy": _estimate(accuracy, tail, _note_of_accuracy(answers))}
    overall |= {m: _estimate(mean_of_defined(values), tail, _left_out(values[0], answers.names)) for m, values in means}
    overall["roc_auc_micro"] = _estimate(pooled, tail, "")
    by_label = {
        name: {m: _estimate(scores[:, k, i], tail, _why(answers, k, m)) for i, m in enumerate(LABEL_METRICS)}
        for k, name in enumerate(answers.names)
    }
    if n_resamples:
        for k, name in enumerate(answers.names):
            by_label[name]["roc_auc_delong"] = _delong(answers, k, names, by_label[name]["roc_auc"], confidence)
    return ClassificationMetrics(overall, by_label)


def _weights(groups: NDArray, known: NDArray[np.bool_], n_resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each sample counts: a row of ones first, then rows of resamples, in chunks."""
    yield np.ones((1, len(known)))
    used = np.flatnonzero(known.any(axis=1))
    names, group = np.unique(groups[used], return_inverse=True)
    if len(names) < 2:
        return
    rng, n_at_once = np.random.default_rng(seed), max(1, _CHUNK // known.size)
    for start in range(0, n_resamples, n_at_once):
        n = min(n_at_once, n_resamples - start)
        weights = np.zeros((n, len(known)))
        weights[:, used] = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)[:, group]
        yield weights


def _measured(
    answers: Answers, weights: NDArray[np.float64], task: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy, (R,), the metrics of each output, (R, K, 5), and the area of all together, (R,); NaN if undefined."""
    columns = zip(answers.truth.T, answers.probabilities.T, answers.decisions.T, answers.known.T, strict=True)
    scores = np.stack([label_scores(y, p, d, weights * known) for y, p, d, known in columns], axis=1)
    scores[:, ~answers.decided, :_N_OF_DECISIONS] = np.nan
    counted, right = answers.known & answers.decided, answers.truth == answers.decisions
    if not TASKS[task].has_thresholds:  # a sample is one decision
        counted, right = counted[:, :1], right.all(1, keepdims=True)
    truth, probabilities, decisions = (a.T.ravel() for a in (answers.truth, answers.probabilities, answers.decisions))
    of_all = np.hstack([weights * known for known in answers.known.T])
    pooled = label_scores(truth, probabilities, decisions, of_all)[:, _AREA]
    return ratio(weights @ (counted & right).sum(1), weights @ counted.sum(1)), scores, pooled


def _averaged(scores: NDArray[np.float64], task: str) -> dict[str, NDArray[np.float64]]:
    """The values whose means are the overall metrics, each (R, K)."""
    sensitivity, specificity, f1, auc, precision = np.moveaxis(scores, -1, 0)
    balanced = (sensitivity + specificity) / 2 if TASKS[task].has_thresholds else sensitivity
    return {"balanced_accuracy": balanced, "f1_macro": f1, "roc_auc": auc, "average_precision": precision}


def _delong(answers: Answers, k: int, groups: NDArray, area: Estimate, confidence: float) -> Estimate:
    """The area of an output as it is, with the interval that needs no resamples."""
    if area.value is None:
        return area
    known = answers.known[:, k]
    of = groups[known]
    interval = auc_interval(answers.truth[known, k], answers.probabilities[known, k], of, confidence)
    if interval is None:
        why = "the area is 0 or 1" if area.value in (0, 1) else "all positives or all negatives are of one patient"
        return Estimate(area.value, None, None, f"no interval: {why}")
    n_groups = len(np.unique(of))
    note = (
        "" if n_groups == len(of) else f"Obuchowski's interval, of {len(of)} samples of {n_groups} patients or groups"
    )
    return Estimate(area.value, *interval, note)


def _estimate(values: NDArray[np.float64], tail: float | None, note: str) -> Estimate:
    """The estimate from a metric's values in the whole sample and then in each resample, and its note."""
    value, resampled = values[0], values[1:]
    if np.isnan(value):
        return Estimate(None, None, None, f"undefined: {note}")
    defined = resampled[~np.isnan(resampled)]
    if tail is not None and len(defined) > len(resampled) / 2:
        low, high = np.quantile(defined, [tail, 1 - tail])
        return Estimate(float(value), float(low), float(high), note)
    missing = f"no interval: undefined in {len(resampled) - len(defined)} of {len(resampled)} resamples"
    if not len(resampled):
        missing = "" if tail is None else "no interval: all samples with a label are of one patient or group"
    return Estimate(float(value), None, None, "; ".join(filter(None, [note, missing])))


def _why(answers: Answers, k: int, metric: str) -> str:
    """Why a metric of an output is not defined; an empty string if it is."""
    known = int(answers.known[:, k].sum())
    positives = int((answers.known & answers.truth)[:, k].sum())
    if not known:
        return "no known labels"
    if not positives and metric != "specificity":
        return f"no positives among {known} known labels"
    if positives == known and metric in ("specificity", "roc_auc", "average_precision"):
        return f"no negatives among {known} known labels"
    return "" if answers.decided[k] or metric in ("roc_auc", "average_precision") else "no threshold"


def _note_of_accuracy(answers: Answers) -> str:
    if not answers.known.any():
        return "no known labels"
    if not (answers.known & answers.decided).any():
        return "no threshold"
    undecided = [name for name, decided in zip(answers.names, answers.decided, strict=True) if not decided]
    return f"without {', '.join(undecided)}, which has no threshold" if undecided else ""


def _left_out(values: NDArray[np.float64], names: Sequence[str]) -> str:
    """The note of a mean that names the outputs where it is undefined."""
    missing = [name for name, value in zip(names, values, strict=True) if np.isnan(value)]
    if len(missing) == len(names):
        return "in every output"
    return f"mean without {', '.join(missing)}, where it is undefined" if missing else ""
