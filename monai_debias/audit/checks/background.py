# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does the network read the class in the background?"""

from __future__ import annotations

from monai_debias.audit.checks.accuracy_lost import accuracy_lost
from monai_debias.audit.checks.check import NotCheckableError
from monai_debias.audit.exchange import donor_pairs
from monai_debias.audit.finding import Finding
from monai_debias.audit.question import Question
from monai_debias.audit.subject import Subject
from monai_debias.transforms.background import backmix_rows

__all__ = ["BackgroundUsed"]


class BackgroundUsed:
    """Exchange backgrounds for those of the same class and of another class.

    With image x of class y and region of interest M, and donors j of class y and j' of another class, whose regions of
    interest are both left black,

        effect = accuracy(M x + (1 - M) x_j) - accuracy(M x + (1 - M) x_j').

    Unit: accuracy, from -1 to 1; 0 for a network that does not read the class in the background. Null distribution of
    the p-value: the two donors of a pair of patients change places, see :mod:`monai_debias.audit.exchange`. Where 400
    images decide, no others are asked, see :mod:`monai_debias.audit.looks`.

    Args:
        delta: the smallest loss of accuracy that matters.
        most: how many images are measured at most, for each question.

    Reference:
        The images: Bransby et al., BackMix, MICCAI 2024. The test is ours.
    """

    name = "background"

    def __init__(self, delta: float = 0.02, most: int = 1000) -> None:
        self.delta = delta
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """Masks."""
        return (
            "" if subject.has_mask.sum() > 1 else "it takes masks of the region of interest, which leave a background"
        )

    def cost(self, subject: Subject) -> int:
        """Two images for each receiver."""
        return 2 * len(subject.questions) * min(self.most, int(subject.has_mask.sum()))

    def __call__(self, subject: Subject) -> list[Finding]:
        """One finding for each question."""
        found = [self._ask(subject, question) for question in subject.questions]
        if not any(found):
            raise NotCheckableError("it takes images with masks of two classes, of four patients or more")
        return [finding for finding in found if finding is not None]

    def _ask(self, subject: Subject, question: Question) -> Finding | None:
        rng = subject.rng(self.name + question.name)
        rows = ((question.classes >= 0) & subject.has_mask).nonzero()[0]
        rows = rng.permutation(rows)[: self.most]
        pairs = donor_pairs(question.classes, subject.patients, rows, rng) if len(rows) else None
        if pairs is None:
            return None
        original = question.right(subject.odds[pairs.receiver], pairs.receiver).mean()
        return accuracy_lost(
            "background",
            subject,
            question,
            pairs,
            backmix_rows,
            self.delta,
            rng,
            check=self.name,
            tested=f"background{question}",
            details={"accuracy, original images": float(original)},
        )
