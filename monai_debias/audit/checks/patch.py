# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Do a few small patches decide, such as a marker in a corner? Where are they?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from monai_debias.audit.boxes import Box, box_mask, boxes_of, halves, place
from monai_debias.audit.checks.check import NotCheckableError, lacks_grid
from monai_debias.audit.decision import exchange_until_decided
from monai_debias.audit.evidence import shown
from monai_debias.audit.exchange import Exchanged, Pairs, donor_pairs, exchange_parts, some_of
from monai_debias.audit.finding import Finding
from monai_debias.audit.proposal import nested, paste_where, ranked_boxes
from monai_debias.audit.question import Question
from monai_debias.audit.subject import Subject

__all__ = ["PatchUsed"]

_NEARLY_ALL = 0.9  # share of the largest effect that the smallest set of boxes must have
_MOST_OF_THE_IMAGE = 1 / 8
_HALVES = "Half of the patients propose the patches, and the other half decides."
_JUDGE = "Without masks it is for you to judge whether they belong to the finding."
_TRIED = 100  # images for each set of boxes that is proposed, for the first look of those who decide, and a placebo


class PatchUsed:
    """Exchange what is in a few boxes for that of images of the same class and of another class.

    Half of the patients propose: random halves of a grid are exchanged, the strongest boxes are cut into smaller ones
    (:mod:`monai_debias.audit.proposal`), and the fewest of these that have nearly the largest effect make the patches
    b, an eighth of the image at most. The other half of the patients decide: with images x, donors j of the same class
    and j' of another, and x_j(b) = (1 - b) x + b x_j,

    - with masks b leaves out everybody's region of interest, and effect = accuracy(x_j(b)) - accuracy(x_j'(b)), as in
      :class:`~monai_debias.audit.checks.background.BackgroundUsed`; any is that of a shortcut.
    - Without masks, the patches may show what the diagnosis rests on, and what an eighth of the image changes is no
      proof. But if it makes the network decide for the class of j' whatever the rest shows, it is time to look at it:
      effect = share of decisions for the class of j', of x_j'(b) minus that of x_j(b); and δ is two thirds.

    Unit: accuracy, or decisions. Null distribution of the p-value: the donors change places, see
    :mod:`monai_debias.audit.exchange`; without masks it is the share of resamples with at most δ if that is larger.
    ``details`` have the boxes, and the effect of a placebo, as many boxes at other places.

    Args:
        delta: the smallest loss of accuracy that matters, with masks.
        delta_without_masks: the smallest share of decisions that matters, without masks.
        n_proposing: how many exchanges propose, of the grid and of its smaller boxes.
        most: how many images decide at most.

    Reference:
        After the insertion and deletion of patches of DeGrave et al., Nature Machine Intelligence 2021. The test is
        ours.
    """

    name = "patch"

    def __init__(
        self, delta: float = 0.02, delta_without_masks: float = 2 / 3, n_proposing: int = 1000, most: int = 400
    ) -> None:
        self.delta = delta
        self.delta_without_masks = delta_without_masks
        self.n_proposing = n_proposing
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """Images with one to three spatial dimensions, of eight patients."""
        return lacks_grid(subject)

    def cost(self, subject: Subject) -> int:
        """The exchanges of two grids, two images for each trial of about five sets, that decides, or gets a placebo."""
        half = len(subject) // 2
        return len(subject.questions) * (2 * self.n_proposing + 12 * min(_TRIED, half) + 2 * min(self.most, half))

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
        proposing, deciding = (rng.permutation(np.flatnonzero(known & part)) for part in (half, ~half))
        trial, pairs = (donor_pairs(question.classes, subject.patients, rows, rng) for rows in (proposing, deciding))
        if trial is None or pairs is None:
            return None
        ranked = ranked_boxes(subject, question, proposing, masked, self.n_proposing, rng)
        if not ranked:
            return None
        chosen = _fewest(subject, question, ranked, some_of(trial, _TRIED, rng), masked)
        others = [part for box in boxes_of(subject.size[1:]) for part in halves(box) if part not in chosen]
        placebo = [others[k] for k in rng.permutation(len(others))[: len(chosen)]]
        return self._decide(subject, question, chosen, placebo, some_of(pairs, self.most, rng), masked, rng)

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
        where = box_mask(chosen, subject.size[1:])
        paste = paste_where(where, masked)
        delta = self.delta if masked else self.delta_without_masks
        effect_of = _effect_of(masked)
        decided = exchange_until_decided(
            subject, question, pairs, paste, effect_of, delta, _TRIED, rng, above=not masked
        )
        result = decided.result
        elsewhere = paste_where(box_mask(placebo, subject.size[1:]), masked)
        control = exchange_parts(subject, question, some_of(pairs, _TRIED, rng), elsewhere)
        patches = f"small patches ({len(chosen)}, with {100 * where.float().mean().item():.1f} % of the image)"
        return Finding(
            check=self.name,
            tested=f"{patches}{question}",
            level="used",
            measure="of accuracy lost when these patches are those of another class instead of the own class"
            if masked
            else "of the decisions follow the patches of another class",
            effect=decided.effect,
            low=decided.low,
            high=decided.high,
            unit="accuracy" if masked else "decisions",
            delta=delta,
            p=decided.p,
            patients=decided.patients,
            limit_of_none=decided.limit_of_none,
            question=question.name,
            mends=("backmix", "background_blend", "isnet"),
            note=_HALVES if masked else f"{_HALVES} {_JUDGE}",
            details={
                "boxes": [[list(side) for side in box] for box in chosen],
                "places": [place(box, subject.size[1:]) for box in chosen],
                "images": len(result.patient),
                "accuracy, patches of the same class": float(result.right[:, 0].mean()),
                "accuracy, patches of another class": float(result.right[:, 1].mean()),
                "effect of a placebo": float(effect_of(control).mean()),
                "mean fall of the probability of the true class": float(result.change.mean()),
            },
            evidence=shown(subject, question, result, paste, "patches of"),
        )


def _fewest(subject: Subject, question: Question, ranked: Sequence[Box], pairs: Pairs, masked: bool) -> list[Box]:
    """The smallest of the sets of boxes, each of which is in the next one, that has nearly the effect of the last."""
    size = subject.size[1:]
    sets = list(nested(ranked, size, _MOST_OF_THE_IMAGE))

    def effect(boxes: list[Box]) -> float:
        result = exchange_parts(subject, question, pairs, paste_where(box_mask(boxes, size), masked))
        return float(_effect_of(masked)(result).mean())

    most = effect(sets[-1])
    enough = min(most, _NEARLY_ALL * most)
    return sets[bisect_left(sets[:-1], True, key=lambda boxes: effect(boxes) >= enough)]


def _effect_of(masked: bool) -> Callable[[Exchanged], NDArray[np.float64]]:
    """What counts, of each receiver: the accuracy lost, or whether the decision follows the other donor."""
    return attrgetter("lost" if masked else "taken_over")
