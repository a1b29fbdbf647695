# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The numbers that every split of every bundle is reported with, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from monai_debias.parameters import KEY, NONE, NUMBERS, SEED, Integer, Number, SequenceOf, expects

__all__ = ["bootstrap_intervals", "classification_metrics"]


@expects(labels=NUMBERS, probabilities=NUMBERS)
def classification_metrics(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1 and macro one-versus-rest ROC AUC of a single-label classifier.

    Balanced accuracy, F1 and AUC average over the classes that occur in ``labels``.

    Args:
        labels: true class indices, shape (N,).
        probabilities: predicted probabilities, shape (N, K); the largest is the predicted class.

    Returns:
        ``{"accuracy", "balanced_accuracy", "f1_macro", "roc_auc"}``, each in [0, 1].

    Raises:
        ValueError: when shapes do not fit, a label is not in 0 … K - 1, a probability is NaN or infinite, or only one
            class occurs (the AUC is not defined then).

    Example:
        >>> classification_metrics([0, 1, 1], [[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])["balanced_accuracy"]
        0.75
    """
    y, p = _checked(labels, probabilities)
    return _metrics(y, p)


@expects(
    labels=NUMBERS,
    probabilities=NUMBERS,
    groups=NONE | SequenceOf(KEY),
    n_resamples=Integer("[1, inf)"),
    confidence=Number("(0, 1)"),
    seed=SEED,
)
def bootstrap_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    groups: Sequence[str] | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of :func:`classification_metrics`.

    Whole groups are drawn with replacement, since the images of one patient are not independent of each other. A
    resample with a single class is drawn again.

    Args:
        labels: true class indices, shape (N,).
        probabilities: predicted probabilities, shape (N, K).
        groups: what is resampled as a whole, usually the patient of each sample, length N; by default each sample.
        n_resamples: how many resamples are drawn.
        confidence: coverage of the interval, in (0, 1).
        seed: seed of the resampling.

    Returns:
        ``{metric: (low, high)}`` for each metric of :func:`classification_metrics`.

    Raises:
        ValueError: as :func:`classification_metrics`; when ``groups`` has another length, or when a single group holds
            all samples, so that nothing varies between resamples.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).

    Example:
        >>> labels, confident = [0, 1] * 20, [[0.9, 0.1], [0.2, 0.8]] * 20
        >>> bootstrap_intervals(labels, confident, n_resamples=20)["accuracy"]
        (1.0, 1.0)
    """
    y, p = _checked(labels, probabilities)
    names = np.arange(len(y)) if groups is None else np.asarray(groups)
    if len(names) != len(y):
        raise ValueError(f"groups has {len(names)} entries for {len(y)} samples.")
    _, index = np.unique(names, return_inverse=True)
    members = [np.flatnonzero(index == g) for g in range(index.max() + 1)]
    if len(members) < 2:
        raise ValueError("all samples belong to one group, so an interval cannot be estimated; give more patients.")
    rng = np.random.default_rng(seed)
    drawn: list[list[float]] = []
    while len(drawn) < n_resamples:
        rows = np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])
        if np.ptp(y[rows]) > 0:
            drawn.append(list(_metrics(y[rows], p[rows]).values()))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.array(drawn), [tail, 1 - tail], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(_metrics(y, p))}


def _metrics(y: NDArray[np.int64], p: NDArray[np.float64]) -> dict[str, float]:
    # from counts and ranks, since the bootstrap comes here thousands of times; the tests hold it against scikit-learn
    n_classes = p.shape[1]
    confusion = np.bincount(y * n_classes + p.argmax(1), minlength=n_classes**2).reshape(n_classes, n_classes)
    present = confusion.sum(1) > 0
    hits, support = confusion.diagonal()[present], confusion.sum(1)[present]
    rank_sums = np.array([ranks[y == k].sum() for k, ranks in enumerate(rankdata(p, axis=0).T) if present[k]])
    wins = rank_sums - support * (support + 1) / 2  # Mann-Whitney U: pairs in which the positive sample ranks higher
    return {
        "accuracy": float(hits.sum() / len(y)),
        "balanced_accuracy": float((hits / support).mean()),
        "f1_macro": float((2 * hits / (support + confusion.sum(0)[present])).mean()),
        "roc_auc": float((wins / (support * (len(y) - support))).mean()),
    }


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    y, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or p.ndim != 2 or len(y) != len(p):
        raise ValueError(f"expected labels (N,) and probabilities (N, K), got {y.shape} and {p.shape}.")
    if not np.isfinite(p).all():
        raise ValueError(
            f"{int((~np.isfinite(p)).any(1).sum())} of {len(p)} samples have NaN or infinite probabilities."
        )
    if not np.isin(y, np.arange(p.shape[1])).all():
        raise ValueError(f"labels must be class indices 0 … {p.shape[1] - 1}, got {np.unique(y).tolist()}.")
    if len(np.unique(y)) < 2:
        raise ValueError(f"only class {np.unique(y).tolist()} occurs; the ROC AUC needs at least two classes.")
    return y.astype(np.int64), p
