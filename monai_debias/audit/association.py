# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How an attribute goes with scores among images of the same class.

Within a class, a network that does not read an attribute answers alike whatever the attribute is. An attribute that is
read as a sign of a class moves the score of that class in *all* classes in the same direction; one that merely makes
images harder moves it up in one class and down in another. So the statistic is summed over the classes with its sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from monai_debias.audit.resampling import permutations
from monai_debias.metrics.label_scores import label_scores

__all__ = ["Association", "attribute_columns", "slope", "strongest_association", "within_class_auc"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_VALUES = 10  # a number with more values is not a name
_LEAST_PATIENTS = 5  # of a value
_AT_ONCE = 2_000_000  # numbers in permuted tables


class Association(NamedTuple):
    """The strongest of some associations, and how often chance makes one as strong."""

    value: int
    """Column of the attribute."""
    score: int
    """Column of the scores."""
    z: float
    """The statistic in standard deviations of its permutations."""
    p: float
    patients: int
    """Patients that a permutation can exchange for another."""


def attribute_columns(values: NDArray, patients: Ints) -> tuple[list[str], Floats]:
    """An attribute as columns of numbers: 0 or 1 for each of its values, or the rank of a number with many values.

    Args:
        values: names or numbers, shape (N,).
        patients: number of the patient of each image, (N,).

    Returns:
        Names of the columns and the columns, (N, V). Values of fewer than five patients have none.

    Example:
        >>> attribute_columns(np.repeat(["a", "b"], 5), np.arange(10))[0]
        ['a', 'b']
    """
    names, index = np.unique(values, return_inverse=True)
    if values.dtype.kind in "iuf" and len(names) > _MOST_VALUES:
        return ["higher"], (rankdata(values) / len(values))[:, None]
    often = [v for v in range(len(names)) if len(np.unique(patients[index == v])) >= _LEAST_PATIENTS]
    return [str(names[v]) for v in often], (index[:, None] == np.asarray(often, dtype=np.int64)).astype(np.float64)


def slope(columns: Floats, scores: Floats, classes: Ints) -> Floats:
    """Σ over classes of the covariance of attribute and rank of the score within the class: (V, J).

    Args:
        columns: the attribute, (N, V).
        scores: (N, J).
        classes: class of each row, (N,).
    """
    return _centred(columns, classes).T @ _centred(_ranks(scores, classes), classes)


def strongest_association(
    columns: Floats,
    scores: Floats,
    classes: Ints,
    patients: Ints,
    allowed: NDArray[np.bool_] | None = None,
    n_permutations: int = 9999,
    seed: int = 0,
) -> Association | None:
    """Test whether an attribute goes with a score within classes, by the largest |z| over columns and scores.

    A patient has one row for each of its classes, the means of its images. The null distribution comes from exchanging
    the attributes of whole patients, only between patients who have images of the same classes: it is exact if, given
    these, the attribute has nothing to do with the scores.

    Args:
        columns: the attribute, (N, V), see :func:`attribute_columns`.
        scores: (N, J).
        classes: class of each image, (N,).
        patients: number of the patient of each image, (N,).
        allowed: which pairs of a column and a score are looked at, (V, J); by default all.
        n_permutations: number of permutations.
        seed: seed of the permutations.

    Returns:
        The association; None where no exchange of patients changes anything.

    Reference:
        Westfall and Young, Resampling-based multiple testing, 1993 (the largest statistic).
    """
    patient, row_class, means = _cells(np.hstack([columns, scores]), classes, patients)
    groups, free = _composition(patient, row_class)
    if free.sum() < 2 * _LEAST_PATIENTS:
        return None
    kept = free[patient]
    patient, row_class = np.unique(patient[kept], return_inverse=True)[1], row_class[kept]
    a = _centred(means[kept, : columns.shape[1]], row_class)
    r = _centred(_ranks(means[kept, columns.shape[1] :], row_class), row_class)
    row_of = np.zeros((int(free.sum()), row_class.max() + 1), dtype=np.int64)
    row_of[patient, row_class] = np.arange(len(patient))
    rng, chunk = np.random.default_rng(seed), max(1, _AT_ONCE // a.size)
    observed, sums = a.T @ r, []
    for start in range(0, n_permutations, chunk):
        order = permutations(groups[free], min(chunk, n_permutations - start), rng)
        sums.append(np.matmul(a[row_of[order[:, patient], row_class]].transpose(0, 2, 1), r))
    null = np.concatenate(sums)
    spread = null.std(0)
    usable = (spread > 1e-12 * max(1.0, np.abs(observed).max())) & (True if allowed is None else allowed)
    if not usable.any():
        return None
    z, null_z = (np.abs(part - null.mean(0))[..., usable] / spread[usable] for part in (observed, null))
    best = int(z.argmax())
    value, score = np.argwhere(usable)[best]
    beaten = int((null_z.max(-1) >= z[best] - 1e-9).sum())
    sign = np.sign(observed[value, score] - null.mean(0)[value, score])
    return Association(
        int(value), int(score), float(sign * z[best]), (1 + beaten) / (1 + n_permutations), int(free.sum())
    )


def within_class_auc(column: Floats, score: Floats, classes: Ints, weights: Floats) -> Floats:
    """AUC of a score for an attribute within each class, averaged over the classes by n₁ n₀ / n.

    Args:
        column: 0 or 1, or ranks of a number, which are cut at their median within the class; (N,).
        score: (N,).
        classes: (N,).
        weights: how often each image counts, (R, N).

    Returns:
        Shape (R,), NaN where no class has both.
    """
    total, mass = np.zeros(len(weights)), np.zeros(len(weights))
    for c in np.unique(classes):
        rows = classes == c
        cut = 0.5 if set(np.unique(column)) <= {0.0, 1.0} else np.median(column[rows])
        with_it = column[rows] > cut
        w, ranks = weights[:, rows], rankdata(score[rows]) / (rows.sum() + 1)
        auc = label_scores(with_it, ranks, with_it, w)[:, 3]
        n1, n0 = w @ with_it, w @ ~with_it
        share = np.divide(n1 * n0, n1 + n0, out=np.zeros_like(n1), where=(n1 > 0) & (n0 > 0))
        total += share * np.nan_to_num(auc)
        mass += share
    return np.divide(total, mass, out=np.full_like(total, np.nan), where=mass > 0)


def _composition(patient: Ints, row_class: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """A number for the set of classes that each patient has, and whether another patient has the same set."""
    has = np.zeros((patient.max() + 1, row_class.max() + 1), dtype=bool)
    has[patient, row_class] = True
    groups, sizes = np.unique(has, axis=0, return_inverse=True, return_counts=True)[1:]
    return groups.ravel(), sizes[groups.ravel()] > 1


def _cells(values: Floats, classes: Ints, patients: Ints) -> tuple[Ints, Ints, Floats]:
    """Number of the patient, class and mean values of each combination that occurs."""
    numbers = np.unique(patients, return_inverse=True)[1]
    keys, index, counts = np.unique(np.stack([numbers, classes], 1), axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(keys), values.shape[1]))
    np.add.at(sums, index.ravel(), values)
    return keys[:, 0], keys[:, 1], sums / counts[:, None]


def _ranks(scores: Floats, classes: Ints) -> Floats:
    """Ranks within each class, in (0, 1)."""
    ranks = np.empty_like(scores)
    for c in np.unique(classes):
        rows = classes == c
        ranks[rows] = rankdata(scores[rows], axis=0) / (rows.sum() + 1)
    return ranks


def _centred(values: Floats, classes: Ints) -> Floats:
    """Values minus the mean of their class."""
    n = int(classes.max()) + 1
    counts = np.maximum(np.bincount(classes, minlength=n), 1)[:, None]
    means = np.stack([np.bincount(classes, weights=column, minlength=n) for column in values.T], 1) / counts
    return values - means[classes]
