# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does the network read stamps: pictures that are the same in several patients, such as a marker or text?"""

from __future__ import annotations

import numpy as np

from monai_debias.audit.boxes import Box, box_mask, place
from monai_debias.audit.checks.accuracy_lost import accuracy_lost
from monai_debias.audit.checks.check import NotCheckableError, lacks_grid
from monai_debias.audit.exchange import donor_pairs
from monai_debias.audit.finding import Finding
from monai_debias.audit.proposal import paste_where
from monai_debias.audit.question import Question
from monai_debias.audit.stamps import stamped_boxes
from monai_debias.audit.subject import Subject

__all__ = ["StampUsed"]


class StampUsed:
    """Exchange what is in all places with stamps for that of images of the same class and of another class.

    A place shows stamps if nearly all images show one of a few pictures there, each in several patients
    (:mod:`monai_debias.audit.stamps`). Nothing in a body repeats so, and no mask is needed to know that it is not the
    finding. With images x, donors j of the same class and j' of another, b = 1 in these places, and
    x_j(b) = (1 - b) x + b x_j,

        effect = accuracy(x_j(b)) - accuracy(x_j'(b)).

    Unit: accuracy, from -1 to 1; 0 for a network that does not read the class in stamps. Null distribution of the
    p-value: the two donors of a pair of patients change places, see :mod:`monai_debias.audit.exchange`. The places are
    found without the labels and without the network, so that all patients can decide.

    Args:
        delta: the smallest loss of accuracy that matters.
        most: how many images are looked at, and decide, at most.

    Reference:
        Ours; the exchange is that of :class:`~monai_debias.audit.checks.background.BackgroundUsed`.
    """

    name = "stamp"

    def __init__(self, delta: float = 0.02, most: int = 400) -> None:
        self.delta = delta
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """Images with one to three spatial dimensions, of eight patients."""
        return lacks_grid(subject)

    def cost(self, subject: Subject) -> int:
        """Each image is read once, and made anew twice for each question."""
        return (1 + 2 * len(subject.questions)) * min(self.most, len(subject))

    def __call__(self, subject: Subject) -> list[Finding]:
        """A finding for each question."""
        rows = subject.rng(self.name).permutation(len(subject))[: self.most]
        boxes, n_changing = stamped_boxes(subject, rows)
        if not boxes:
            raise NotCheckableError("there are none: no place shows the same few pictures in several patients")
        if 2 * len(boxes) > n_changing:
            raise NotCheckableError(
                f"{len(boxes)} of the {n_changing} places that are not the same in all images show a few pictures "
                "only, so that stamps cannot be told from what these images are of"
            )
        found = [self._ask(subject, question, rows, boxes) for question in subject.questions]
        if not any(found):
            raise NotCheckableError("it takes images of two classes, of four patients or more")
        return [finding for finding in found if finding is not None]

    def _ask(self, subject: Subject, question: Question, rows: np.ndarray, boxes: list[Box]) -> Finding | None:
        rng = subject.rng(self.name + question.name)
        known = rows[question.classes[rows] >= 0]
        pairs = donor_pairs(question.classes, subject.patients, known, rng) if len(known) else None
        if pairs is None:
            return None
        where = box_mask(boxes, subject.size[1:])
        paste = paste_where(where, masked=False)
        places = "1 place" if len(boxes) == 1 else f"{len(boxes)} places"
        stamps = f"stamps ({places}, with {100 * where.float().mean().item():.1f} % of the image)"
        return accuracy_lost(
            "set of stamps",
            subject,
            question,
            pairs,
            paste,
            self.delta,
            rng,
            check=self.name,
            tested=f"{stamps}{question}",
            note="A stamp is a picture that is the same in several patients at one place, such as text or a marker.",
            details={
                "boxes": [[list(side) for side in box] for box in boxes],
                "places": [place(box, subject.size[1:]) for box in boxes],
            },
        )
