# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The metrics of one label, in many resamples of the samples at once.

A resample is a row of weights: how often each sample was drawn. scikit-learn's metrics give the same numbers for one
row of weights (a test compares them) but take some milliseconds for each; a bootstrap needs thousands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LABEL_METRICS", "label_scores", "mean_of_defined", "ratio"]

LABEL_METRICS = ("sensitivity", "specificity", "f1", "roc_auc", "average_precision")


def label_scores(
    truth: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    decisions: NDArray[np.bool_],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sensitivity, specificity, F1, ROC AUC and average precision of one label.

    Args:
        truth: whether the label is 1, shape (N,).
        probabilities: shape (N,).
        decisions: whether the classifier predicts it, shape (N,).
        weights: how often each sample was drawn, shape (R, N).

    Returns:
        Shape (R, 5), NaN where a metric is not defined: sensitivity and F1 without positives, specificity without
        negatives, and ROC AUC and average precision without one of the two.

    Example:
        >>> truth, said = np.array([True, True, False, False]), np.array([True, False, False, False])
        >>> label_scores(truth, np.array([0.9, 0.4, 0.5, 0.1]), said, np.ones((1, 4))).round(3).tolist()
        [[0.5, 1.0, 0.667, 0.75, 0.833]]
    """
    positives, negatives = weights @ truth, weights @ ~truth
    hits, false_alarms = weights @ (truth & decisions), weights @ (~truth & decisions)
    auc, precision = _of_ranking(truth, probabilities, weights)
    f1 = ratio(2 * hits, np.where(positives > 0, positives + hits + false_alarms, 0))
    scores = (ratio(hits, positives), ratio(negatives - false_alarms, negatives), f1, auc, precision)
    return np.stack(scores, axis=1)


def _of_ranking(
    truth: NDArray[np.bool_], probabilities: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Area under the ROC curve by trapezoids, and average precision; equal probabilities are one step."""
    order = np.argsort(-probabilities, kind="stable")
    steps = np.flatnonzero(np.diff(probabilities[order], append=-1.0))
    drawn, there = weights[:, order], truth[order]
    hits, false_alarms = (np.cumsum(drawn * kind, axis=1)[:, steps] for kind in (there, ~there))
    more_hits, more_false_alarms = (np.diff(counts, axis=1, prepend=0.0) for counts in (hits, false_alarms))
    area = (more_false_alarms * (hits - more_hits / 2)).sum(1)
    n_positive, n_negative = hits[:, -1], false_alarms[:, -1]
    precision = np.divide(hits, hits + false_alarms, out=np.zeros_like(hits), where=hits > 0)
    mean_precision = ratio((more_hits * precision).sum(1), np.where(n_negative > 0, n_positive, 0))
    return ratio(area, n_positive * n_negative), mean_precision


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotients, NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last dimension of the values that are not NaN; NaN if all are."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1).astype(np.float64))
