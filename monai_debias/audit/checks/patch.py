# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Do a few small patches decide, such as a marker in a corner? Where are they?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.audit.boxes import GRID, Box, box_mask, boxes_of, place
from monai_debias.audit.checks.check import NotCheckableError
from monai_debias.audit.evidence import shown
from monai_debias.audit.exchange import Exchanged, Pairs, Paste, donor_pairs, exchange_parts
from monai_debias.audit.finding import Finding
from monai_debias.audit.question import Question
from monai_debias.audit.resampling import interval
from monai_debias.audit.subject import Subject

__all__ = ["PatchUsed"]

_OUTSIDE = 0.5  # share of a box that must be background where there are masks
_CLEARLY = 1.5  # standard errors by which the exchange of a box that is proposed lowers the score
_OF_THE_STRONGEST = 0.1  # share of the strongest fall that it has to reach
_MOST_OF_THE_IMAGE = 1 / 8


class PatchUsed:
    """Exchange what is in a few boxes for that of images of the same class and of another class.

    Half of the patients propose: each box of a grid is exchanged in a few images, and those that lower the score of the
    true class most make the patches b, an eighth of the image at most. The other half of the patients decide: with
    images x, donors j of the same class and j' of another, and x_j(b) = (1 - b) x + b x_j,

    - with masks b leaves out everybody's region of interest, and effect = accuracy(x_j(b)) - accuracy(x_j'(b)), as in
      :class:`~monai_debias.audit.checks.background.BackgroundUsed`; any is that of a shortcut.
    - Without masks, the patches may show what the diagnosis rests on, and what an eighth of the image changes is no
      proof. But if it makes the network decide for the class of j' whatever the rest shows, it is time to look at it:
      effect = share of decisions for the class of j', of x_j'(b) minus that of x_j(b); and δ is a half.

    Unit: accuracy, or decisions. Null distribution of the p-value: the donors change places, see
    :mod:`monai_debias.audit.exchange`; without masks it is the share of resamples with at most δ if that is larger.
    ``details`` have the boxes, and the effect of a placebo, as many boxes at other places.

    Args:
        delta: the smallest loss of accuracy that matters, with masks.
        delta_without_masks: the smallest share of decisions that matters, without masks.
        n_proposing: how many images propose.
        most: how many images decide at most.

    Reference:
        After the insertion and deletion of patches of DeGrave et al., Nature Machine Intelligence 2021. The test is
        ours.
    """

    name = "patch"

    def __init__(
        self, delta: float = 0.02, delta_without_masks: float = 0.5, n_proposing: int = 24, most: int = 400
    ) -> None:
        self.delta = delta
        self.delta_without_masks = delta_without_masks
        self.n_proposing = n_proposing
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """Images with one to three spatial dimensions, of eight patients."""
        if len(subject.size) - 1 not in GRID:
            return f"it takes images of 1 to 3 spatial dimensions, these have {len(subject.size) - 1}"
        return "" if subject.n_patients >= 8 else f"it takes 8 patients or more, there are {subject.n_patients}"

    def cost(self, subject: Subject) -> int:
        """Two images for each box and image that proposes, and for each that decides, twice."""
        half = len(subject) // 2
        proposing = 2 * len(boxes_of(subject.size[1:])) * min(self.n_proposing, half)
        return len(subject.questions) * (proposing + 4 * min(self.most, half))

    def __call__(self, subject: Subject) -> list[Finding]:
        """A finding for each question."""
        found = [self._ask(subject, question) for question in subject.questions]
        if not any(found):
            raise NotCheckableError("it takes images of two classes, of four patients or more in each half")
        return [finding for finding in found if finding is not None]

    def _ask(self, subject: Subject, question: Question) -> Finding | None:
        rng = subject.rng(self.name + question.name)
        masked = bool(subject.has_mask.any())
        known = (question.classes >= 0) & (subject.has_mask if masked else True)
        names = rng.permutation(np.unique(subject.patients[known]))
        half = np.isin(subject.patients, names[: len(names) // 2])
        proposing, deciding = (
            donor_pairs(question.classes, subject.patients, rng.permutation(np.flatnonzero(known & part)), rng)
            for part in (half, ~half)
        )
        if proposing is None or deciding is None:
            return None
        boxes = boxes_of(subject.size[1:])
        if masked:
            boxes = _outside(subject, boxes, proposing.receiver)
        chosen = self._proposed(subject, question, boxes, _some(proposing, self.n_proposing, rng), masked)
        if not chosen:
            return None
        pairs = _some(deciding, self.most, rng)
        others = [box for box in boxes if box not in chosen]
        placebo = [others[k] for k in rng.permutation(len(others))[: len(chosen)]]
        return self._decide(subject, question, chosen, placebo, pairs, masked, rng)

    def _proposed(
        self, subject: Subject, question: Question, boxes: Sequence[Box], pairs: Pairs, masked: bool
    ) -> list[Box]:
        """The boxes whose exchange lowers the score of the true class most clearly; at least one."""
        results = (exchange_parts(subject, question, pairs, paste_boxes([box], subject, masked)) for box in boxes)
        falls, errors = np.array([_fall(result) for result in results]).T
        most = max(1, int(_MOST_OF_THE_IMAGE * GRID[len(subject.size) - 1] ** (len(subject.size) - 1)))
        best = np.argsort(-falls / errors, kind="stable")[:most]
        least = np.maximum(_CLEARLY * errors, _OF_THE_STRONGEST * falls[best].max())
        return [boxes[k] for rank, k in enumerate(best) if rank == 0 or falls[k] > least[k]]

    def _decide(
        self,
        subject: Subject,
        question: Question,
        chosen: list[Box],
        placebo: list[Box],
        pairs: Pairs,
        masked: bool,
        rng: np.random.Generator,
    ) -> Finding:
        paste = paste_boxes(chosen, subject, masked)
        result = exchange_parts(subject, question, pairs, paste)
        control = exchange_parts(subject, question, pairs, paste_boxes(placebo, subject, masked))
        effect = result.lost if masked else result.taken_over
        resampled = result.resampled(effect, rng)
        low, high = interval(resampled)
        p, delta = result.p(rng), self.delta if masked else self.delta_without_masks
        if not masked:
            p = max(p, (1 + int((resampled <= delta).sum())) / (1 + len(resampled)))
        share = box_mask(chosen, subject.size[1:]).float().mean().item()
        where = f"small patches ({len(chosen)}, with {100 * share:.0f} % of the image)"
        return Finding(
            check=self.name,
            tested=f"{where}{question}",
            level="used",
            measure="of accuracy lost when these patches are those of another class instead of the own class"
            if masked
            else "of the decisions follow the patches of another class",
            effect=float(effect.mean()),
            low=low,
            high=high,
            unit="accuracy" if masked else "decisions",
            delta=delta,
            p=p,
            patients=len(set(result.patient.tolist())),
            mends=("backmix", "background_consistency", "isnet"),
            note="" if masked else "Without masks it is for you to judge whether the patches belong to the finding.",
            details={
                "boxes": [[list(side) for side in box] for box in chosen],
                "places": [place(box, subject.size[1:]) for box in chosen],
                "images": len(pairs.receiver),
                "accuracy, patches of the same class": float(result.right[:, 0].mean()),
                "accuracy, patches of another class": float(result.right[:, 1].mean()),
                "effect of a placebo": float((control.lost if masked else control.taken_over).mean()),
                "mean fall of the probability of the true class": float(result.change.mean()),
            },
            evidence=shown(subject, question, result, paste, "patches of"),
        )


def paste_boxes(boxes: Sequence[Box], subject: Subject, masked: bool) -> Paste:
    """A function that takes the boxes from donors, with masks only where nobody's region of interest is.

    Args:
        boxes: the boxes.
        subject: whose images have that size.
        masked: whether masks count.
    """
    where = box_mask(boxes, subject.size[1:])

    def paste(images: torch.Tensor, masks: torch.Tensor, donors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        return torch.where(where & ~(masks | kept) if masked else where, donors, images)

    return paste


def _outside(subject: Subject, boxes: Sequence[Box], rows: NDArray[np.int64]) -> list[Box]:
    """The boxes that are mostly background, in some images."""
    background = (~subject.images_and_masks(rows[:16])[1]).float().mean((0, 1))
    return [box for box in boxes if float(background[tuple(slice(*side) for side in box)].mean()) >= _OUTSIDE]


def _some(pairs: Pairs, n: int, rng: np.random.Generator) -> Pairs:
    rows = rng.permutation(len(pairs.receiver))[:n]
    return Pairs(*(part[rows] for part in pairs))


def _fall(result: Exchanged) -> tuple[float, float]:
    """By how much the score of the true class falls: the mean and its standard error."""
    fall = result.own[:, 0] - result.own[:, 1]
    return float(fall.mean()), float(fall.std() / math.sqrt(len(fall)) + 1e-3)
