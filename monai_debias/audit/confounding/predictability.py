# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How well properties of the files, such as their size or sharpness, predict the label without the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from monai_debias.audit.confounding.chance import adjusted_p_values, exchanged_rows, p_values, weights_of_rows
from monai_debias.audit.confounding.columns import Column
from monai_debias.audit.confounding.confounder import PROPERTY, Confounder
from monai_debias.audit.resampling import interval, patient_weights

__all__ = ["ALL", "predictabilities"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALL = "all together"
_FOLDS = 5
_PENALTY = 1.0  # of ridge regression, in patients
_RESAMPLES = 500


def predictabilities(
    properties: Sequence[Column],
    questions: Mapping[str, Ints],
    patients: Ints,
    n_permutations: int = 499,
    seed: int = 0,
) -> list[Confounder]:
    """Predict each label from each property, and from all together, and measure the AUC for other patients.

    The prediction is a ridge regression of the label on one indicator for each value, or range of values, of the
    properties: it may be anything but monotone. It is fitted to four fifths of the patients and judged on the rest, in
    turn; pairs of images are compared within a fifth. Each patient counts the same. Null distribution: the labels
    change places between whole patients, see :mod:`monai_debias.audit.confounding.chance`, and all is fitted anew.

    Args:
        properties: columns of N images; those with one value are left out.
        questions: by the name of the label, the class of each image, shape (N,), -1 where it is not known.
        patients: number of the patient of each image, shape (N,).
        n_permutations: number of permutations.
        seed: seed of folds, permutations and resamples.

    Returns:
        For each label one for each property, then ``ALL``; none for a label that is known of too few patients, that is,
        of fewer than five with it, or without it.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = rng.integers(0, 2, 100)
        >>> size = Column("width", labels + rng.integers(0, 2, 100), ("512", "1024", "2048"))
        >>> found, together = predictabilities([size], {"": labels}, np.arange(100))
        >>> found.p, 0.7 < found.effect < 0.95
        (0.002, True)
    """
    properties = [column for column in properties if len(np.unique(column.codes)) > 1]
    found: list[Confounder] = []
    observed: list[Floats] = []
    null: list[Floats] = []
    for name, classes in questions.items():
        known = classes >= 0
        if properties and _enough(classes[known], patients[known]):
            columns = [column._replace(codes=column.codes[known]) for column in properties]
            part, of_part, null_of_part = _ask(columns, name, classes[known], patients[known], n_permutations, seed)
            found, observed, null = found + part, [*observed, of_part], [*null, null_of_part]
    if not found:
        return []
    adjusted = adjusted_p_values(np.concatenate(observed), np.concatenate(null, axis=1))
    return [one._replace(adjusted_p=float(p)) for one, p in zip(found, adjusted, strict=True)]


def _enough(classes: Ints, patients: Ints) -> bool:
    counts = [len(np.unique(patients[classes == one])) for one in np.unique(classes)]
    return len(counts) > 1 and sorted(counts)[-2] >= _FOLDS


def _ask(
    columns: Sequence[Column], name: str, classes: Ints, patients: Ints, n_permutations: int, seed: int
) -> tuple[list[Confounder], Floats, Floats]:
    """What is found about one question, the AUCs (M,), and those of the permutations (B, M)."""
    rng = np.random.default_rng(seed)
    patients = np.unique(patients, return_inverse=True)[1]
    fold = (rng.permutation(patients.max() + 1) % _FOLDS)[patients]
    weights = weights_of_rows(patients)
    there = np.unique(classes)
    chosen = there[1:] if len(there) == 2 else there  # of two classes, one says it all
    targets = (classes[:, None] == chosen).astype(np.float64)
    exchanged = [targets[rows] for rows in exchanged_rows(patients, n_permutations, rng)]
    every = np.stack([targets, *exchanged], axis=1).reshape(len(targets), -1)  # (N, (1 + B) K)
    resamples = (weights * patient_weights(patients, _RESAMPLES, rng)).T  # (N, R)
    found, aucs = [], []
    for title, features in [*((column.name, [column]) for column in columns), (ALL, columns)]:
        cells = _Cells(np.hstack([column.codes[:, None] == np.unique(column.codes) for column in features]), fold)
        scores = cells.predicted(every, weights)
        auc = (
            cells.auc(scores, weights[:, None] * every, weights[:, None] * (1 - every)).reshape(-1, len(chosen)).mean(1)
        )
        of_target = [
            cells.auc(scores[:, [k]], resamples * target[:, None], resamples * (1 - target)[:, None])
            for k, target in enumerate(targets.T)
        ]
        low, high = interval(np.mean(of_target, axis=0))
        value = float(auc[0])
        numbers = value, low or value, high or value, float(np.quantile(auc[1:], 0.95))
        counts = len(np.unique(cells.features, axis=0)), int(patients.max()) + 1
        found.append(Confounder(PROPERTY, title, name, *numbers, 1.0, 1.0, *counts))
        aucs.append(auc)
    of_all = np.stack(aucs, axis=1)
    p = p_values(of_all[0], of_all[1:])
    return [one._replace(p=float(value)) for one, value in zip(found, p, strict=True)], of_all[0], of_all[1:]


class _Cells:
    """Images of the same fold with the same features, which a prediction cannot tell from each other.

    Args:
        features: indicators, shape (N, F).
        fold: fold of each image, shape (N,).
    """

    def __init__(self, features: NDArray[np.bool_], fold: Ints) -> None:
        rows, cell = np.unique(np.column_stack([fold, features]), axis=0, return_inverse=True)
        self.fold, self.features = rows[:, 0], rows[:, 1:].astype(np.float64)
        members = np.ones(len(fold)), (cell.ravel(), np.arange(len(fold)))
        self.members = csr_array(members, shape=(len(rows), len(fold)))  # sums images to cells

    def predicted(self, targets: Floats, weights: Floats) -> Floats:
        """Ridge regression of targets (N, T) on the features: scores (C, T) of the cells of a fold by the others."""
        total, sums = self.members @ weights, self.members @ (weights[:, None] * targets)
        scores = np.empty_like(sums)
        for one in range(_FOLDS):
            train, test = self.fold != one, self.fold == one
            features = self.features[train]
            gram = (features.T * total[train]) @ features + _PENALTY * np.eye(features.shape[1])
            mean = sums[train].sum(0) / total[train].sum()
            right = features.T @ (sums[train] - total[train][:, None] * mean)
            scores[test] = self.features[test] @ np.linalg.solve(gram, right)
        return scores.round(12)  # so that rounding orders no two cells that are alike

    def auc(self, scores: Floats, positives: Floats, negatives: Floats) -> Floats:
        """Area under the ROC curve over the pairs of images within a fold, 0.5 without any.

        Args:
            scores: shape (C, T) or (C, 1).
            positives: weight of each image as one with the label, shape (N, T).
            negatives: its weight as one without, shape (N, T).

        Returns:
            Shape (T,).
        """
        with_it, without = self.members @ positives, self.members @ negatives
        scores = np.broadcast_to(scores, with_it.shape)
        right, pairs = np.zeros(with_it.shape[1]), np.zeros(with_it.shape[1])
        for one in np.unique(self.fold):
            rows = self.fold == one
            order = np.argsort(scores[rows], axis=0, kind="stable")
            score, up, down = (np.take_along_axis(of[rows], order, 0) for of in (scores, with_it, without))
            below = np.cumsum(down, axis=0)
            is_last = np.diff(score, axis=0, append=np.inf) != 0
            right += (up * (_at_step_before(below, is_last) + _at_end_of_step(below, is_last)) / 2).sum(0)
            pairs += up.sum(0) * below[-1]
        return np.divide(right, pairs, out=np.full_like(right, 0.5), where=pairs > 0)


def _at_end_of_step(values: Floats, is_last: NDArray[np.bool_]) -> Floats:
    """The value in the last row of each row's step, which has one score."""
    place = np.where(is_last, np.arange(len(values))[:, None], len(values))
    return np.take_along_axis(values, np.minimum.accumulate(place[::-1], axis=0)[::-1], 0)


def _at_step_before(values: Floats, is_last: NDArray[np.bool_]) -> Floats:
    """The value in the last row of the step before, 0 before the first."""
    place = np.where(is_last, np.arange(1, len(values) + 1)[:, None], 0)
    before = np.concatenate([np.zeros_like(place[:1]), np.maximum.accumulate(place[:-1], axis=0)])
    return np.take_along_axis(np.concatenate([np.zeros_like(values[:1]), values]), before, 0)
