# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How a classifier fares in each group of samples, and how two methods compare over the same seeds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from monai_debias.constraints import LABELS, NUMBERS, SEED, Integer, Number
from monai_debias.labels import IGNORE_VALUE, ignored_values, is_missing
from monai_debias.parameters import expects

__all__ = ["PairedDifference", "group_accuracy", "paired_difference"]


class PairedDifference(NamedTuple):
    """Mean difference of two methods, first - second, and its bootstrap interval from ``low`` to ``high``."""

    mean: float
    low: float
    high: float


@expects(labels=LABELS, predictions=LABELS, groups=LABELS, ignore_value=IGNORE_VALUE)
def group_accuracy(
    labels: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike,
    ignore_value: float | Sequence[float] | None = None,
) -> dict[Hashable, float]:
    """Accuracy of each group of samples, e.g. of each combination of class and shortcut, or each hospital.

    With ``accuracy = group_accuracy(…)``, the worst group is ``min(accuracy, key=accuracy.get)`` and the gap between
    groups ``max(accuracy.values()) - min(accuracy.values())``. Both grow by chance alone where groups are small.

    Args:
        labels: true classes, shape (N,): integers, booleans or strings; or rows of several labels, shape (N, K).
        predictions: decisions, of the same shape and kind as ``labels``. With several labels each is a decision, and
            the accuracy of a group is the share of correct ones among all of its known labels.
        groups: the group of each sample, shape (N,): integers, booleans or strings. For combinations build strings,
            ``[f"{view}, {scanner}" for …]``.
        ignore_value: the value of a missing label, e.g. -1 or NaN, which is not counted.

    Returns:
        ``{group: accuracy}``, sorted by group; only groups that occur.

    Raises:
        TypeError: when an array is not of integers, booleans or strings, e.g. probabilities, or labels and predictions
            are of different kinds.
        ValueError: when shapes differ, there are no samples, or a group has no known label.

    Reference:
        Sagawa et al., Distributionally robust neural networks, ICLR 2020 (worst-group accuracy).

    Example:
        >>> group_accuracy([0, 1, 1, 0], [0, 1, 0, 1], ["no mark", "no mark", "mark", "no mark"])
        {'mark': 0.0, 'no mark': 0.6666666666666666}
    """
    y, predicted, group = np.asarray(labels), np.asarray(predictions), np.asarray(groups)
    shapes = {"labels": y.shape, "predictions": predicted.shape, "groups": group.shape}
    if y.shape != predicted.shape or y.ndim not in (1, 2) or group.shape != y.shape[:1] or not y.size:
        raise ValueError(f"expected labels and predictions (N,) or (N, K) and groups (N,), N > 0, got {shapes}.")
    known = np.ones(y.shape, bool)
    if y.dtype.kind != "U":
        known = ~is_missing(torch.as_tensor(y), ignored_values(ignore_value)).numpy()
    _refuse_no_classes("labels", y[known])
    _refuse_no_classes("predictions", predicted)
    _refuse_no_classes("groups", group)
    if (y.dtype.kind == "U") != (predicted.dtype.kind == "U"):
        raise TypeError(f"labels are {y.dtype} and predictions {predicted.dtype}: give both as indices or as names.")
    names, index = np.unique(group, return_inverse=True)
    axes = tuple(range(1, y.ndim))
    hits, counts = (np.bincount(index, weights=part.sum(axis=axes)) for part in (known & (y == predicted), known))
    if not counts.all():
        raise ValueError(
            f"groups {names[counts == 0].tolist()} have no known label, and thus no accuracy: leave them out."
        )
    return dict(zip(names.tolist(), (hits / counts).tolist(), strict=True))


def _refuse_no_classes(name: str, values: NDArray) -> None:
    """Refuse values that are not classes or their names; labels may be whole numbers of a floating-point type."""
    is_whole = name == "labels" and values.dtype.kind == "f" and bool((values == np.round(values)).all())
    if values.dtype.kind not in "iubU" and not is_whole:
        raise TypeError(
            f"{name} must be integers, booleans or strings, got {values.dtype}: give classes rather than "
            "probabilities, and leave out samples without one."
        )


@expects(first=NUMBERS, second=NUMBERS, n_resamples=Integer("[1, inf)"), seed=SEED, confidence=Number("(0, 1)"))
def paired_difference(
    first: ArrayLike, second: ArrayLike, n_resamples: int = 10000, seed: int = 0, confidence: float = 0.95
) -> PairedDifference:
    """Mean difference of two methods that ran with the same seeds, first - second, and its bootstrap interval.

    Pairs are resampled, so that effects of a seed on both methods cancel. The percentile interval is too narrow with
    few seeds: it never leaves the range of the n differences, which contains the true value in at most 1 - 2^(1 - n)
    of experiments (if differences are symmetric): 50 % for two seeds, 75 % for three, 88 % for four, 94 % for five,
    whatever ``confidence`` says. Below n = 5, read it as the range of the observed differences; an interval without 0
    is no evidence of a difference then.

    Args:
        first: one value of the first method per seed, e.g. its accuracy, shape (n,), n at least 2.
        second: the second method's values for the same seeds in the same order, shape (n,).
        n_resamples: how many resamples are drawn.
        seed: seed of the resampling.
        confidence: nominal coverage of the interval, in (0, 1).

    Returns:
        ``(mean, low, high)``, a named tuple.

    Raises:
        ValueError: when the arrays are not of one shape (n,) with at least two pairs; for NaN or infinite values; when
            ``n_resamples`` or ``confidence`` is out of range.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).

    Example:
        >>> difference = paired_difference([0.75, 1.0, 0.75, 1.0], [0.5, 0.75, 0.5, 0.75])
        >>> difference.mean, difference.low, difference.high
        (0.25, 0.25, 0.25)
    """
    a, b = _values("first", first), _values("second", second)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"expected two arrays of one shape (n,) with n of at least 2, got {a.shape} and {b.shape}.")
    interval = bootstrap(
        (a - b,),
        np.mean,
        n_resamples=n_resamples,
        confidence_level=confidence,
        method="percentile",
        random_state=np.random.default_rng(seed),  # ``rng`` in newer SciPy only
    ).confidence_interval
    return PairedDifference(float((a - b).mean()), float(interval.low), float(interval.high))


def _values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} has {int((~np.isfinite(array)).sum())} NaN or infinite values; leave out these seeds."
        )
    return array
