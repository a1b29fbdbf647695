# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The interval of an area under the ROC curve without resampling, also where patients have several images."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["auc_interval", "auc_variance"]


def auc_variance(truth: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray) -> tuple[float, float]:
    r"""Area under the ROC curve, and its variance by DeLong, for clustered data by Obuchowski.

    Each of the M positives :math:`x` and N negatives :math:`y` has a component: the share of the others that it is
    ranked correctly against (a tie is one half),

    .. math:: V_{10}(x) = \frac{1}{N} \sum_y \psi(x, y),\quad V_{01}(y) = \frac{1}{M} \sum_x \psi(x, y),

    and the area :math:`\hat\theta` is the mean of either. Of a group i with :math:`m_i` positives and :math:`n_i`
    negatives, :math:`a_i = \sum V_{10} - m_i \hat\theta` and :math:`b_i = \sum V_{01} - n_i \hat\theta`. With
    :math:`I_{10}` groups that have positives, :math:`I_{01}` that have negatives, and I in all,

    .. math:: \widehat{var}(\hat\theta) = \frac{I_{10}}{I_{10} - 1} \frac{\sum a_i^2}{M^2}
        + \frac{I_{01}}{I_{01} - 1} \frac{\sum b_i^2}{N^2} + \frac{I}{I - 1} \frac{2 \sum a_i b_i}{M N}.

    Where each group has one sample this is DeLong's variance, as the last term is 0. Components come from ranks.

    Args:
        truth: whether a sample is positive, shape (N,).
        scores: shape (N,).
        groups: the group of each sample, shape (N,).

    Returns:
        The area, and its variance, NaN where positives or negatives are of fewer than two groups.

    Reference:
        DeLong et al., Biometrics 1988 (Eq. 5); Sun and Xu, IEEE Signal Processing Letters 2014 (by ranks); Obuchowski,
        Biometrics 1997 (clustered data).

    Example:
        >>> area, variance = auc_variance(np.array([True, True, False, False]), np.array([9.0, 4, 5, 1]), np.arange(4))
        >>> area, variance  # V10 = (1, 0.5), V01 = (0.5, 1): each has the variance 1/8, divided by 2
        (0.75, 0.125)
    """
    positives, negatives = scores[truth], scores[~truth]
    all_ranks = rankdata(scores)  # the share of the others below a sample, from its rank among all and its own kind
    of_positives = (all_ranks[truth] - rankdata(positives)) / len(negatives)
    of_negatives = 1 - (all_ranks[~truth] - rankdata(negatives)) / len(positives)
    area = float(of_positives.mean())
    names, group = np.unique(groups, return_inverse=True)
    a = np.bincount(group[truth], of_positives - area, len(names)) / len(positives)
    b = np.bincount(group[~truth], of_negatives - area, len(names)) / len(negatives)
    with_positives, with_negatives = len(np.unique(group[truth])), len(np.unique(group[~truth]))
    if min(with_positives, with_negatives) < 2:
        return area, math.nan
    parts = ((with_positives, a @ a), (with_negatives, b @ b), (len(names), 2 * a @ b))
    return area, float(sum(count / (count - 1) * part for count, part in parts))


def auc_interval(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray, confidence: float
) -> tuple[float, float] | None:
    r"""The interval of the area under the ROC curve from :func:`auc_variance`, on the scale of logits.

    .. math:: \mathrm{logit}(\hat\theta) \pm z \frac{\sqrt{\widehat{var}(\hat\theta)}}{\hat\theta (1 - \hat\theta)},

    which stays within (0, 1); :math:`\hat\theta \pm z \sqrt{\cdot}` does not.

    Args:
        truth: whether a sample is positive, shape (N,); some are, and some are not.
        scores: shape (N,).
        groups: the group of each sample, shape (N,).
        confidence: coverage, in (0, 1).

    Returns:
        Low and high end; None where there is no interval: an area of 0 or 1, whose estimated variance is 0 however few
        the samples are, or positives or negatives of fewer than two groups.

    Reference:
        Pepe, The Statistical Evaluation of Medical Tests for Classification and Prediction, 2003 (section 5.2.5).

    Example:
        >>> truth, scores = np.array([True, True, False, False]), np.array([9.0, 4, 5, 1])
        >>> [round(end, 3) for end in auc_interval(truth, scores, np.arange(4), 0.95)]
        [0.069, 0.992]
    """
    area, variance = auc_variance(truth, scores, groups)
    if not 0 < area < 1 or math.isnan(variance):
        return None
    middle = math.log(area / (1 - area))
    # rounding, or groups whose positives and negatives err together, can bring the variance to 0 or below it
    width = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(max(variance, 0.0)) / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-end)) for end in (middle - width, middle + width))
    return low, high
