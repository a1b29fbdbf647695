# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does the network still tell the classes apart when the region of interest is filled?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from monai_debias.audit.checks.check import NotCheckableError
from monai_debias.audit.finding import Finding
from monai_debias.audit.question import Question
from monai_debias.audit.resampling import interval, patient_weights
from monai_debias.audit.subject import Subject
from monai_debias.metrics.label_scores import label_scores

__all__ = ["RegionFilled"]


class RegionFilled:
    """Fill the region of interest of each image with one value, and judge what is left.

        effect = mean over the classes of AUC(score of the class for the class) - 0.5

    on images filled with the mean of all their backgrounds. It is measured twice: with the region filled, whose outline
    stays visible, and with its bounding box filled, which leaves only place and size. Unit: AUC, 0 where nothing of the
    class is left. Null distribution of the p-value: the classes are exchanged between patients, one row for each class
    of a patient.

    An outline can tell the class by itself, so that this is no proof that the background is used where the region can
    be seen: the level is "encoded".

    Args:
        delta: the smallest AUC above 0.5 that matters.
        most: how many images are measured at most.

    Reference:
        After the tests of DeGrave et al., Nature Machine Intelligence 2021, and Maguolo and Nanni, Information Fusion
        2021, who cover the lungs.
    """

    name = "region filled"

    def __init__(self, delta: float = 0.1, most: int = 300) -> None:
        self.delta = delta
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """Masks."""
        return "" if subject.has_mask.sum() > 1 else "it takes masks of the region of interest"

    def cost(self, subject: Subject) -> int:
        """Two images for each that is measured."""
        return 2 * min(self.most, int(subject.has_mask.sum()))

    def __call__(self, subject: Subject) -> list[Finding]:
        """Two findings for each question, with the region and with its bounding box filled."""
        rng = subject.rng(self.name)
        rows = rng.permutation(np.flatnonzero(subject.has_mask))[: self.most]
        found = []
        value = _background_mean(*subject.images_and_masks(rows[:64]))
        for what, region_of in (("the region", torch.clone), ("its bounding box", bounding_boxes)):
            odds = np.concatenate(subject.in_batches(rows, partial(_filled, subject, region_of, value)))
            for question in subject.questions:
                known = question.classes[rows] >= 0
                found.append(self._measure(subject, question, rows[known], odds[known], what, rng))
        kept = [finding for finding in found if finding is not None]
        if not kept:
            raise NotCheckableError("it takes images with masks of two classes, of five patients each")
        return kept

    def _measure(
        self,
        subject: Subject,
        question: Question,
        rows: NDArray[np.int64],
        odds: NDArray[np.float64],
        what: str,
        rng: np.random.Generator,
    ) -> Finding | None:
        classes, patients, scores = question.classes[rows], subject.patients[rows], question.scores(odds)
        present = [c for c in np.unique(classes) if len(np.unique(patients[classes == c])) >= 5]
        if len(present) < 2:
            return None
        columns = [1] if scores.shape[1] == 1 else present
        scores = scores if scores.shape[1] == 1 else scores[:, columns]
        truth = classes[:, None] == np.array(columns)
        weights = np.vstack([np.ones(len(rows)), patient_weights(patients, 1000, rng)])
        aucs = [
            label_scores(true, rankdata(score) / (len(score) + 1), true, weights)[:, 3]
            for true, score in zip(truth.T, scores.T, strict=True)
        ]
        auc = np.mean(aucs, axis=0) - 0.5
        low, high = interval(auc[1:])
        return Finding(
            check=self.name,
            tested=f"class with {what} filled{question}",
            level="encoded",
            measure="of the scores for the classes",
            effect=float(auc[0]),
            low=low,
            high=high,
            unit="AUC",
            delta=self.delta,
            p=_p(truth, scores, classes, patients, rng),
            patients=len(np.unique(patients)),
            question=question.name,
            mends=("backmix", "background_blend", "isnet"),
            details={"images": len(rows)},
        )


def _filled(
    subject: Subject, region_of: Callable[[torch.Tensor], torch.Tensor], value: torch.Tensor, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The network's answers to images with their regions filled."""
    images, masks = subject.images_and_masks(rows)
    return subject.answer(torch.where(region_of(masks), value, images))


def bounding_boxes(masks: torch.Tensor) -> torch.Tensor:
    """The smallest box around the region of each mask (B, C, spatial...), of the same shape.

    Args:
        masks: boolean.

    Example:
        >>> bounding_boxes(torch.tensor([[[False, True, False, True]]]))
        tensor([[[False,  True,  True,  True]]])
    """
    boxes = torch.ones_like(masks)
    for dim in range(2, masks.ndim):
        others = [d for d in range(1, masks.ndim) if d != dim]
        there = masks.float().amax(others, keepdim=True)  # which positions along this dimension the region touches
        begun, ends = there.cumsum(dim) > 0, there.flip(dim).cumsum(dim).flip(dim) > 0
        boxes &= begun & ends
    return boxes


def _background_mean(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The mean of all backgrounds: one value, since an image's own would tell what is in its background."""
    return images[~masks].mean()


def _p(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    classes: NDArray[np.int64],
    patients: NDArray[np.int64],
    rng: np.random.Generator,
    n_permutations: int = 9999,
) -> float:
    """One-sided p-value of the mean AUC; the classes of the rows of patients are permuted."""
    index = np.unique(np.stack([patients, classes], 1), axis=0, return_inverse=True)[1].ravel()
    counts = np.bincount(index)[:, None]
    rows = [np.stack([np.bincount(index, weights=c) for c in part.T], 1) / counts for part in (truth, scores)]
    label, ranks = rows[0], rankdata(rows[1], axis=0)
    size = label.sum(0) * (len(label) - label.sum(0))
    share = np.divide(1, size, out=np.zeros_like(size), where=size > 0)  # the AUC is a sum of ranks times this
    observed = ((label * ranks).sum(0) * share).sum()
    beaten = sum(
        ((label[rng.permutation(len(label))] * ranks).sum(0) * share).sum() >= observed - 1e-12
        for _ in range(n_permutations)
    )
    return (1 + int(beaten)) / (1 + n_permutations)
