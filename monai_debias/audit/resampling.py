# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Chance, in an audit: intervals and p-values in which the patient is the unit, and not the image.

Images of a patient are alike, so that 100 images of 20 patients say less than 100 images of 100. Resamples draw
patients, and permutations exchange patients; with one image for each patient these are the usual ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["end_with_none", "flip_p", "interval", "limit_of_none", "patient_weights", "permutations"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def patient_weights(patients: Ints, n_resamples: int, rng: np.random.Generator) -> Floats:
    """How often each image counts in resamples of the patients with replacement.

    Args:
        patients: number of the patient of each image, shape (N,).
        n_resamples: R.
        rng: draws the resamples.

    Returns:
        Weights, shape (R, N).

    Example:
        >>> patient_weights(np.array([7, 7, 9]), 2, np.random.default_rng(0)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    names, index = np.unique(patients, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples)
    return drawn[:, index].astype(np.float64)


def interval(resampled: Floats, confidence: float = 0.95) -> tuple[float, float] | tuple[None, None]:
    """The percentile interval of a statistic's values in resamples; none if half of them are not defined.

    Args:
        resampled: values, shape (R,), NaN where the statistic is not defined.
        confidence: nominal coverage.

    Example:
        >>> interval(np.linspace(0, 1, 101), 0.5)
        (0.25, 0.75)
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined) or len(defined) <= len(resampled) / 2:
        return None, None
    tail = (1 - confidence) / 2
    return float(np.quantile(defined, tail)), float(np.quantile(defined, 1 - tail))


def limit_of_none(n_patients: int, confidence: float = 0.95) -> float:
    """The largest share of patients that may have what none of n has: the upper end of the exact interval for 0 of n.

    Where no patient differs, no resample does, and the percentile interval ends at 0, whatever n is.

    Args:
        n_patients: n.
        confidence: nominal coverage of the interval, of which this is one end.

    Reference:
        Clopper and Pearson, Biometrika 1934.

    Example:
        >>> round(limit_of_none(10), 2), round(limit_of_none(183), 3)
        (0.31, 0.02)
    """
    return 1 - ((1 - confidence) / 2) ** (1 / n_patients)


def end_with_none(
    high: float | None, effect: float, n_patients: int, confidence: float = 0.95
) -> tuple[float | None, bool]:
    """The upper end of an interval where no patient has what is looked for, and whether it is the limit of none.

    Args:
        high: that of the resamples; None if there is none.
        effect: the effect.
        n_patients: how many could have it.
        confidence: nominal coverage of the interval.

    Example:
        >>> end_with_none(0.0, 0.0, 183)[1], end_with_none(None, 0.0, 183)
        (True, (None, False))
    """
    if high is None:
        return None, False
    limit = effect + limit_of_none(n_patients, confidence)
    return max(high, limit), limit >= high


def flip_p(sums: Floats, n_flips: int, rng: np.random.Generator) -> float:
    """One-sided p-value of Σ sums > 0, where under the null each sum could as well have had the other sign.

    Exact where that symmetry holds, whatever the distribution of the sums: p = (1 + #{Σ ±s ≥ Σ s}) / (1 + flips).

    Args:
        sums: one for each independent unit, shape (B,).
        n_flips: number of random sign vectors.
        rng: draws the signs.

    Reference:
        Fisher's randomisation test for pairs; Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 2010 (the 1 added).

    Example:
        >>> flip_p(np.array([1.0, 2.0, 3.0, 1.0, 2.0, 4.0]), 9999, np.random.default_rng(0)) < 0.02
        True
    """
    total, beaten = sums.sum(), 0
    for start in range(0, n_flips, 1000):
        signs = rng.integers(0, 2, (min(1000, n_flips - start), len(sums))) * 2.0 - 1
        beaten += int((signs @ sums >= total - 1e-9 * np.abs(sums).sum()).sum())
    return (1 + beaten) / (1 + n_flips)


def permutations(groups: Ints, n_permutations: int, rng: np.random.Generator) -> Ints:
    """Random permutations that only exchange members of the same group.

    Args:
        groups: group of each member, shape (N,).
        n_permutations: B.
        rng: draws them.

    Returns:
        Indices, shape (B, N): member n takes the place of member [b, n].

    Example:
        >>> permutations(np.array([0, 1, 0, 1]), 3, np.random.default_rng(0)).tolist()
        [[2, 3, 0, 1], [0, 1, 2, 3], [0, 3, 2, 1]]
    """
    order = np.argsort(groups, kind="stable")
    keys = groups[order] + rng.random((n_permutations, len(groups)))  # sorts within each group only
    found = np.empty(keys.shape, dtype=np.int64)
    found[:, order] = order[np.argsort(keys, axis=1)]
    return found
