# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Do the network's answers follow an attribute, such as the scanner, among images of the same class?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_debias.audit.association import attribute_columns, slope, strongest_association, within_class_auc
from monai_debias.audit.checks.check import NotCheckableError, lacks_attributes
from monai_debias.audit.finding import Finding
from monai_debias.audit.question import Question
from monai_debias.audit.resampling import end_with_none, interval, patient_weights
from monai_debias.audit.subject import Subject
from monai_debias.metrics import group_accuracy

__all__ = ["AttributeUsed"]

Floats = NDArray[np.float64]

_FOLDS = 10  # where few images conflict, all others have to say what an attribute raises


class AttributeUsed:
    """Compare the network's answers to images of one class with different values of an attribute.

    - The test: the score s of a class and the attribute A, among images of the same class; the AUC of s for A within
      classes is reported. Null distribution: A is exchanged between patients with images of the same classes, see
      :mod:`monai_debias.audit.association`; the largest of all values and scores counts.
    - The effect, in accuracy: an image is *aligned* where its attribute raises the score of its own class more
      than that of any other, and else *conflicting*, as measured on nine tenths of the patients, without its own;

          effect = Σ_y w_y (accuracy(aligned, y) - accuracy(conflicting, y)),   w_y ∝ n₁ n₀ / (n₁ + n₀),

      for classes y with n₁ aligned and n₀ conflicting images. Where all conflicting images are recognised, no resample
      has another accuracy, and the interval ends where :func:`~monai_debias.audit.resampling.limit_of_none` says.

    It observes and does not intervene: what goes with the attribute, such as other patients in another hospital, counts
    as the attribute.

    Args:
        delta: the smallest loss of accuracy that matters.

    Reference:
        Aligned and conflicting: Nam et al., Learning from Failure, NeurIPS 2020. The test is ours.
    """

    name = "attribute"

    def __init__(self, delta: float = 0.05) -> None:
        self.delta = delta

    def lacks(self, subject: Subject) -> str:
        """Attributes."""
        return lacks_attributes(subject)

    def cost(self, subject: Subject) -> int:
        """Nothing: the answers to the original images are known."""
        return 0

    def __call__(self, subject: Subject) -> list[Finding]:
        """One finding for each attribute and question."""
        pairs = [(name, question) for name in subject.attributes for question in subject.questions]
        found = [self._ask(subject, name, question) for name, question in pairs]
        if not any(found):
            raise NotCheckableError(
                "no attribute has two values, of five patients or more each, within a class: where an attribute goes "
                "with the class in every image, nothing tells whether the network uses it"
            )
        return [finding for finding in found if finding is not None]

    def _ask(self, subject: Subject, attribute: str, question: Question) -> Finding | None:
        values = subject.attributes[attribute]
        known = values != "" if values.dtype.kind == "U" else ~np.isnan(values)
        rows = np.flatnonzero((question.classes >= 0) & known)
        if not len(rows):
            return None
        patients, classes, values = subject.patients[rows], question.classes[rows], values[rows]
        names, columns = attribute_columns(values, patients)
        scores = question.scores(subject.odds[rows])
        if columns.shape[1] == 0:
            return None
        test = strongest_association(columns, scores, classes, patients, seed=subject.seed)
        if test is None:
            return None
        rng = subject.rng(f"{self.name} {attribute}{question.name}")
        right = question.right(subject.odds[rows], rows)
        weights = patient_weights(patients, 2000, rng)
        weights = np.vstack([np.ones(len(rows)), weights])
        side = _alignment(columns, scores, classes, patients, rng)
        effects = _aligned_minus_conflicting(side, right, classes, weights)
        low, high = interval(effects[1:])
        conflicting = side < 0
        none_wrong = False
        if right[conflicting].all():
            high, none_wrong = end_with_none(high, float(effects[0]), len(np.unique(patients[conflicting])))
        auc = within_class_auc(columns[:, test.value], scores[:, test.score], classes, weights)
        auc_low, auc_high = interval(auc[1:])
        shown = list(question.class_names)[-1] if scores.shape[1] == 1 else question.class_names[test.score]
        return Finding(
            check=self.name,
            tested=f"{attribute}{question}",
            level="used",
            measure=f"of accuracy lost where {attribute} speaks against the class",
            effect=None if np.isnan(effects[0]) else float(effects[0]),
            low=low,
            high=high,
            unit="accuracy",
            delta=self.delta,
            p=test.p,
            patients=len(np.unique(patients)),
            limit_of_none=none_wrong,
            question=question.name,
            mends=("backmix", "background_blend", "spectral_decoupling"),
            note="It follows from observation: what goes with the attribute counts as the attribute.",
            details={
                "strongest": f"{attribute} = {names[test.value]} and the score of {shown}",
                "AUC of the score for it within classes": float(auc[0]),
                "AUC, low": auc_low,
                "AUC, high": auc_high,
                "z": test.z,
                "patients that can be exchanged": test.patients,
                "aligned images": int((side > 0).sum()),
                "conflicting images": int(conflicting.sum()),
                **_worst_group(values, classes, patients, right, question),
            },
        )


def _alignment(
    columns: Floats, scores: Floats, classes: NDArray, patients: NDArray, rng: np.random.Generator
) -> NDArray[np.int64]:
    """1 where an attribute raises the score of its image's class most, as other patients say; else -1, 0 for ties."""
    names, index = np.unique(patients, return_inverse=True)
    part = (rng.permutation(len(names)) % _FOLDS)[index]
    side = np.zeros(len(patients), dtype=np.int64)
    for fold in (part == k for k in np.unique(part)):
        if fold.all():
            continue
        raises = slope(columns[~fold], scores[~fold], classes[~fold])
        pull = (columns[fold] - columns[~fold].mean(0)) @ raises
        pull = np.hstack([-pull, pull]) if scores.shape[1] == 1 else pull
        side[fold] = np.where(pull.argmax(1) == classes[fold], 1, -1) * (np.ptp(pull, axis=1) > 0)
    return side


def _aligned_minus_conflicting(side: NDArray, right: NDArray, classes: NDArray, weights: Floats) -> Floats:
    """The effect in each resample, (R,), NaN where no class has both."""
    total, mass = np.zeros(len(weights)), np.zeros(len(weights))
    for c in np.unique(classes):
        n1, n0 = (weights @ ((classes == c) & (side == s)) for s in (1, -1))
        hit1, hit0 = (weights @ ((classes == c) & (side == s) & right) for s in (1, -1))
        both = (n1 > 0) & (n0 > 0)
        share = np.divide(n1 * n0, n1 + n0, out=np.zeros_like(n1), where=both)
        difference = np.divide(hit1, n1, out=np.zeros_like(n1), where=both)
        difference -= np.divide(hit0, n0, out=np.zeros_like(n0), where=both)
        total, mass = total + share * difference, mass + share
    return np.divide(total, mass, out=np.full_like(total, np.nan), where=mass > 0)


def _worst_group(
    values: NDArray, classes: NDArray, patients: NDArray, right: NDArray, question: Question
) -> dict[str, Any]:
    """The lowest accuracy of a class with a value, among groups of five patients or more."""
    if values.dtype.kind != "U" and len(np.unique(values)) > 10:
        return {}
    groups = np.array([f"{question.class_names[c]}, {v}" for c, v in zip(classes, values, strict=True)])
    large = [group for group in np.unique(groups) if len(np.unique(patients[groups == group])) >= 5]
    kept = np.isin(groups, large)
    if not kept.any():
        return {}
    accuracy = group_accuracy(np.ones(kept.sum(), int), right[kept].astype(int), groups[kept])
    worst = min(accuracy, key=lambda group: accuracy[group])
    return {"worst group": str(worst), "accuracy of the worst group": accuracy[worst]}
