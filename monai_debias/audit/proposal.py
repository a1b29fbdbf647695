# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
r"""Which places of an image decide: the images of some patients propose them, for others to decide.

Of an image i and an image j of another class, all boxes of a random half B of a grid are exchanged at once. s is the
rank of the score of the true class among the images of that class. The strength of a box b,

.. math:: z_b = (\bar s_{b \notin B} - \bar s_{b \in B}) / \text{standard error},

is taken over all pairs, and over those whose i, or whose j, is of one class; the largest counts, since a mark may have
another place in each class. Each image asks about all boxes, and about each of them in the company of others: where two
marks say the same, the exchange of one alone changes nothing. The strong boxes are then cut into halves along each
dimension and asked again, so that a small mark is not exchanged together with much that lies around it.

The random halves are those of Petsiuk et al., RISE, BMVC 2018, who leave parts of an image black; the mean difference
is the Banzhaf value of a box. Exchanges are within the data, and need no black.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from monai_debias.audit.boxes import Box, box_mask, boxes_of, halves
from monai_debias.audit.exchange import Paste
from monai_debias.audit.question import Question
from monai_debias.audit.subject import Subject

__all__ = ["nested", "paste_where", "ranked_boxes"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BACKGROUND = 0.5  # share of a box that must be background where there are masks
_STRONG = 3.5  # standard errors: of 64 boxes without any effect, and ten classes, about one is as strong
_MOST = 16  # boxes that are cut
_FEWEST = 40  # pairs of a class


def ranked_boxes(
    subject: Subject, question: Question, rows: Ints, masked: bool, n_exchanges: int, rng: np.random.Generator
) -> list[Box]:
    """The strongest boxes of a grid, cut into halves along each dimension, the strongest first.

    Where none is stronger than chance, it is the parts of the strongest one, in no order.

    Args:
        subject: network and images.
        question: what the network is asked.
        rows: images that propose, of two classes or more.
        masked: whether only what is nobody's region of interest is exchanged.
        n_exchanges: for the grid, and again for the halves.
        rng: draws pairs and halves.
    """
    boxes = boxes_of(subject.size[1:])
    if masked:
        boxes = _background(subject, boxes, rows)
    strengths = _strengths(subject, question, rows, boxes, masked, n_exchanges, rng) if boxes else np.empty(0)
    order = np.argsort(-strengths, kind="stable")[:_MOST]
    strong = [k for k in order if strengths[k] > _STRONG]
    cut = [part for k in strong or order[:1] for part in halves(boxes[k])]
    if not strong or len(cut) < 2:
        return cut
    strengths = _strengths(subject, question, rows, cut, masked, n_exchanges, rng)
    return [cut[k] for k in np.argsort(-strengths, kind="stable")]


def nested(ranked: Sequence[Box], size: Sequence[int], share: float) -> Iterator[list[Box]]:
    """The first box, the first two, and so on in growing steps, as long as they are at most a share of the image.

    Args:
        ranked: boxes, the strongest first.
        size: spatial shape of the image.
        share: of its positions; the first box alone may be more.
    """
    steps = [k for doubled in range(len(ranked).bit_length()) for k in (2**doubled, 3 * 2**doubled // 2)]
    for k in sorted({*steps} & set(range(1, len(ranked) + 1))):
        if k == 1 or box_mask(ranked[:k], size).float().mean() <= share:
            yield list(ranked[:k])


def paste_where(where: torch.Tensor, masked: bool) -> Paste:
    """A function that takes some places from donors, with masks only where nobody's region of interest is.

    Args:
        where: boolean, (spatial...) for all images, or (B, 1, spatial...).
        masked: whether masks count.
    """

    def paste(images: torch.Tensor, masks: torch.Tensor, donors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        return torch.where(where & ~(masks | kept) if masked else where, donors, images)

    return paste


def _strengths(
    subject: Subject,
    question: Question,
    rows: Ints,
    boxes: Sequence[Box],
    masked: bool,
    n_exchanges: int,
    rng: np.random.Generator,
) -> Floats:
    """The strength of each box."""
    receiver, donor = _strangers(question.classes, subject.patients, rows, n_exchanges, rng)
    if not len(receiver):
        return np.zeros(len(boxes))
    exchanged = rng.random((len(receiver), len(boxes))) < 0.5
    places = torch.stack([box_mask([box], subject.size[1:]) for box in boxes])

    def judged(part: Ints) -> Floats:
        where = torch.stack([places[half].any(0) for half in torch.from_numpy(exchanged[part])])[:, None]
        images, masks = subject.images_and_masks(receiver[part])
        donors, kept = subject.images_and_masks(donor[part])
        exchanges = paste_where(where, masked)(images, masks, donors, kept)
        return question.own(subject.answer_changed(receiver[part], images, exchanges), receiver[part])

    own = np.concatenate(subject.in_batches(np.arange(len(receiver)), judged))
    classes = question.classes
    score = np.empty(len(own))
    for c in np.unique(classes[receiver]):
        of_class = classes[receiver] == c
        score[of_class] = rankdata(own[of_class]) / (of_class.sum() + 1)
    groups = [np.ones(len(own), bool)]
    groups += [classes[side] == c for side in (receiver, donor) for c in np.unique(classes[side])]
    found = [_z(exchanged[group], score[group]) for group in groups if group.sum() >= _FEWEST]
    return np.max(found or [np.zeros(len(boxes))], axis=0)


def _z(exchanged: NDArray[np.bool_], score: Floats) -> Floats:
    """By how much the score is lower with each box exchanged, in standard errors, (boxes,)."""
    n, n_all = exchanged.sum(0), len(score)
    both = (n > 0) & (n < n_all)
    with_it = np.divide(score @ exchanged, n, out=np.zeros(len(n)), where=both)
    without = np.divide(score @ ~exchanged, n_all - n, out=np.zeros(len(n)), where=both)
    error = np.sqrt(score.var() * (1 / np.maximum(n, 1) + 1 / np.maximum(n_all - n, 1)))
    return np.divide(without - with_it, error, out=np.zeros(len(n)), where=both & (error > 0))


def _strangers(classes: Ints, patients: Ints, rows: Ints, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Random pairs of images of different classes and patients; fewer than n where a pair is of one patient."""
    receiver = rng.choice(rows, n)
    others = {c: rows[classes[rows] != c] for c in np.unique(classes[rows])}
    if any(len(of_others) == 0 for of_others in others.values()):
        return receiver[:0], receiver[:0]
    donor = np.array([rng.choice(others[c]) for c in classes[receiver]])
    strange = patients[receiver] != patients[donor]
    return receiver[strange], donor[strange]


def _background(subject: Subject, boxes: Sequence[Box], rows: Ints) -> list[Box]:
    """The boxes that are mostly background, in some images."""
    background = (~subject.images_and_masks(rows[:16])[1]).float().mean((0, 1))
    return [box for box in boxes if float(background[tuple(slice(*side) for side in box)].mean()) >= _BACKGROUND]
