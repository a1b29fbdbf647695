# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What chance alone makes of a statistic: values that change places between whole patients.

Images of a patient are alike, so labels or attributes are not exchanged between images but between patients: an image
of patient g takes the value of an image of patient π(g), where π is a random permutation of the patients. A patient
with more images than the other uses the values of that one several times. Each patient has the same weight, whatever
the number of the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["adjusted_p_values", "exchanged_rows", "p_values", "patient_numbers", "rows_of_some", "weights_of_rows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def patient_numbers(names: Sequence[Any]) -> Ints:
    """Number the patients of images; an image without a patient is one of its own.

    Args:
        names: the patient of each image, None or "" where it is not known.

    Returns:
        Numbers from 0, shape (N,).

    Example:
        >>> patient_numbers(["b", None, "a", "b", ""]).tolist()
        [3, 0, 2, 3, 1]
    """
    told = [f"1 {name}" if name not in (None, "") else f"0 {row}" for row, name in enumerate(names)]
    return np.unique(told, return_inverse=True)[1].astype(np.int64)


def weights_of_rows(patients: Ints) -> Floats:
    """A weight for each image, shape (N,), so that those of a patient sum to 1.

    Args:
        patients: number of the patient of each image, shape (N,).
    """
    return 1.0 / np.bincount(patients)[patients]


def rows_of_some(patients: Ints, most: int, rng: np.random.Generator) -> Ints:
    """The images of at most so many patients, drawn at random.

    Args:
        patients: number of the patient of each image, shape (N,).
        most: how many patients.
        rng: draws them.
    """
    there = np.unique(patients)
    if len(there) <= most:
        return np.arange(len(patients))
    return np.flatnonzero(np.isin(patients, rng.choice(there, most, replace=False)))


def exchanged_rows(patients: Ints, n_permutations: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Say, for random permutations of the patients, whose value each image takes.

    Args:
        patients: number of the patient of each image, shape (N,).
        n_permutations: how many.
        rng: draws them.

    Yields:
        Indices, shape (N,).

    Example:
        >>> for rows in exchanged_rows(np.array([0, 0, 1, 2]), 2, np.random.default_rng(1)):
        ...     print(rows.tolist())
        [0, 1, 2, 3]
        [3, 3, 2, 0]
    """
    patient = np.unique(patients, return_inverse=True)[1]
    counts = np.bincount(patient)
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(patient), dtype=np.int64)  # of an image among those of its patient
    order = np.argsort(patient, kind="stable")
    rank[order] = np.arange(len(patient)) - starts[patient[order]]
    for _ in range(n_permutations):
        other = rng.permutation(len(counts))[patient]
        shuffled = np.argsort(patient + rng.random(len(patient)))
        yield shuffled[starts[other] + rank % counts[other]]


def p_values(observed: Floats, null: Floats) -> Floats:
    """One-sided p-values, (1 + number of permutations at least as large) / (1 + permutations).

    Args:
        observed: statistics, shape (M,).
        null: those of the permutations, shape (B, M).
    """
    return (1 + (null >= observed - 1e-12).sum(0)) / (1 + len(null))


def adjusted_p_values(observed: Floats, null: Floats) -> Floats:
    """p-values corrected for the number of statistics: by the largest of them in each permutation.

    The chance that any is below α, if none is more than chance, is α, whatever the dependence among them: all must
    be of the same permutations. Statistics count in standard deviations of their permutations.

    Args:
        observed: statistics, shape (M,).
        null: those of the permutations, shape (B, M).

    Reference:
        Westfall and Young, Resampling-based multiple testing, 1993.

    Example:
        >>> null = np.random.default_rng(0).normal(size=(999, 2))
        >>> adjusted_p_values(np.array([6.0, 0.0]), null).round(3).tolist()
        [0.001, 0.739]
    """
    centre, spread = null.mean(0), null.std(0)
    spread[spread < 1e-12] = np.inf  # what never changes is no evidence
    z, null_z = (observed - centre) / spread, (null - centre) / spread
    return p_values(z, np.repeat(null_z.max(1, keepdims=True), len(z), 1))
