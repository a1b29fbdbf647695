# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
r"""Part of an image exchanged for that of an image of the same class, and for that of another class.

What pasting does to an image, such as its edges, is the same in both, and cancels in the difference:

.. math:: d_i = f(\text{image } i \text{ with a part of } j) - f(\text{image } i \text{ with a part of } j')

where f is the score of the true class of image i, or whether it is recognised, j is of that class and j' of another. If
the network does not read the class in that part, j and j' can change places without changing the distribution of d.

So donors come in pairs of two classes, and patients as donors come in pairs too: all exchanges of a pair of patients
are a *block*. Under the null the sum of a block could as well have the other sign, exactly and whatever the images are
like, since no patient donates in two blocks: that is the test. Intervals resample blocks, and patients who receive, at
the same time: a product of two weights (Owen, The pigeonhole bootstrap, Ann. Appl. Stat. 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.audit.question import Question
from monai_debias.audit.resampling import flip_p, patient_weights
from monai_debias.audit.subject import Subject
from monai_debias.metrics.label_scores import ratio

__all__ = ["Exchanged", "Pairs", "Paste", "donor_pairs", "exchange_parts", "some_of", "swap"]

Ints = NDArray[np.int64]

Paste = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Makes new images of images, what must stay of them, donors, and what must not be taken from these."""


class Pairs(NamedTuple):
    """Who receives what: all of shape (R,)."""

    receiver: Ints
    same: Ints
    """The donor of the receiver's class."""
    other: Ints
    """The donor of another class."""
    block: Ints
    """Number of the pair of patients that the donors belong to."""

    def of(self, rows: Ints | list[int] | slice) -> Pairs:
        """Those of some receivers."""
        return Pairs(*(part[rows] for part in self))


class Exchanged(NamedTuple):
    """What the network said about the two images that were made of each receiver."""

    pairs: Pairs
    own: NDArray[np.float64]
    """Log-odds of the true class with the part of the same class, and of the other, (R, 2)."""
    right: NDArray[np.bool_]
    """Whether it is recognised, (R, 2)."""
    taken: NDArray[np.bool_]
    """Whether the network decides for the class of the other donor, (R, 2)."""
    patient: Ints
    """Patient of each receiver."""

    @property
    def lost(self) -> NDArray[np.float64]:
        """1 where only the part of the same class is right, -1 where only the other is, else 0; (R,)."""
        return self.right[:, 0].astype(np.float64) - self.right[:, 1]

    @property
    def taken_over(self) -> NDArray[np.float64]:
        """1 where only the part of the other class makes the network decide for that class; (R,)."""
        return self.taken[:, 1].astype(np.float64) - self.taken[:, 0]

    @property
    def change(self) -> NDArray[np.float64]:
        """By how much the probability of the true class falls, (R,)."""
        p = 1 / (1 + np.exp(-self.own))
        return p[:, 0] - p[:, 1]

    def followed_by(self, other: Exchanged) -> Exchanged:
        """These receivers and others after them."""
        pairs = Pairs(*map(np.concatenate, zip(self.pairs, other.pairs, strict=True)))
        return Exchanged(pairs, *(np.concatenate(both) for both in zip(self[1:], other[1:], strict=True)))

    def resampled(
        self, values: NDArray[np.float64], rng: np.random.Generator, n_resamples: int = 2000
    ) -> NDArray[np.float64]:
        """Means of values (R,) in resamples of blocks and of patients at the same time, (n_resamples,)."""
        weights = patient_weights(self.pairs.block, n_resamples, rng) * patient_weights(self.patient, n_resamples, rng)
        return ratio(weights @ values, weights.sum(1))

    def p(self, rng: np.random.Generator, n_flips: int = 49_999) -> float:
        """One-sided p-value for scores that follow the class of the donor."""
        sums = np.bincount(self.pairs.block, weights=self.own[:, 0] - self.own[:, 1])
        return flip_p(sums.astype(np.float64), n_flips, rng)


def donor_pairs(classes: Ints, patients: Ints, rows: Ints, rng: np.random.Generator) -> Pairs | None:
    """Give each image two donors of other patients, one of its class and one of another.

    Patients are paired at random so that as few as possible are left over; within a pair of patients, images of
    different classes are paired. Each pair of images serves receivers of its two classes, in equal parts.

    Args:
        classes: class of each image of the data set, (N,).
        patients: patient of each image, (N,).
        rows: images that give and receive.
        rng: draws the pairs.

    Returns:
        The pairs; None if there are fewer than two blocks.
    """
    firsts, seconds, blocks = [], [], []
    for block, (a, b) in enumerate(_patient_pairs(classes[rows], patients[rows], rng)):
        left = list(rng.permutation(rows[patients[rows] == a]))
        right = list(rng.permutation(rows[patients[rows] == b]))
        for i in left:
            j = next((j for j in right if classes[j] != classes[i]), None)
            if j is not None:
                right.remove(j)
                firsts.append(i)
                seconds.append(j)
                blocks.append(block)
    first, second, block_of = np.array(firsts, int), np.array(seconds, int), np.array(blocks, int)
    if len(np.unique(block_of)) < 2:
        return None
    found: list[tuple[int, int, int, int]] = []
    for c in np.unique(classes[rows]):
        of_first, of_second = np.flatnonzero(classes[first] == c), np.flatnonzero(classes[second] == c)
        same = np.concatenate([first[of_first], second[of_second]])
        other = np.concatenate([second[of_first], first[of_second]])
        of_pair = np.concatenate([block_of[of_first], block_of[of_second]])
        found += _served(rng.permutation(rows[classes[rows] == c]), same, other, of_pair, patients, rng)
    table = np.array(found, dtype=np.int64).reshape(-1, 4)
    return Pairs(*table.T) if len(np.unique(table[:, 3])) > 1 else None


def exchange_parts(subject: Subject, question: Question, pairs: Pairs, paste: Paste) -> Exchanged:
    """Make the two images of each receiver and ask the network about them.

    Args:
        subject: network and images.
        question: what it is asked.
        pairs: who receives what.
        paste: makes the images.
    """

    def judged(rows: Ints) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        receiver = pairs.receiver[rows]
        images, *exchanges = swap(subject, pairs.of(rows), paste)
        odds = [subject.answer_changed(receiver, images, changed) for changed in exchanges]
        return (
            np.stack([question.own(one, receiver) for one in odds], 1),
            np.stack([question.right(one, receiver) for one in odds], 1),
            np.stack([question.decided(one) == question.classes[pairs.other[rows]] for one in odds], 1),
        )

    parts = subject.in_batches(np.arange(len(pairs.receiver)), judged)
    own, right, taken = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Exchanged(pairs, own, right, taken, subject.patients[pairs.receiver])


def some_of(pairs: Pairs, n: int, rng: np.random.Generator) -> Pairs:
    """Some of the pairs, in random order.

    Args:
        pairs: who receives what.
        n: how many, at most.
        rng: draws them.
    """
    return pairs.of(rng.permutation(len(pairs.receiver))[:n])


def swap(subject: Subject, pairs: Pairs, paste: Paste) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The images of some receivers, with the part of the same class, and with that of the other; (B, C, spatial...).

    What either donor must not give is not taken from either, so that the holes are the same in both images.
    """
    images, masks = subject.images_and_masks(pairs.receiver)
    same, same_mask = subject.images_and_masks(pairs.same)
    other, other_mask = subject.images_and_masks(pairs.other)
    kept = same_mask | other_mask
    return images, paste(images, masks, same, kept), paste(images, masks, other, kept)


def _patient_pairs(classes: Ints, patients: Ints, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs of patients with different classes, by the class of a random image of each."""
    names = rng.permutation(np.unique(patients))
    by_class: dict[int, list[int]] = {}
    for patient in names.tolist():
        by_class.setdefault(int(rng.choice(classes[patients == patient])), []).append(patient)
    pairs = []
    while len(by_class) > 1:
        sizes = {c: len(members) for c, members in by_class.items()}
        most = max(sizes, key=lambda c: sizes[c])
        others = [c for c in sizes if c != most]
        share = np.array([sizes[c] for c in others], dtype=float)
        partner = others[int(rng.choice(len(others), p=share / share.sum()))]
        pairs.append((by_class[most].pop(), by_class[partner].pop()))
        by_class = {c: members for c, members in by_class.items() if members}
    return pairs


def _served(
    receivers: Ints, same: Ints, other: Ints, block: Ints, patients: Ints, rng: np.random.Generator
) -> list[tuple[int, int, int, int]]:
    """Donors for receivers of one class, in turn, never the receiver's own patient."""
    found, order = [], rng.permutation(len(same))
    for turn, receiver in enumerate(receivers.tolist()):
        for step in range(len(order)):
            k = order[(turn + step) % len(order)]
            if patients[receiver] not in (patients[same[k]], patients[other[k]]):
                found.append((receiver, int(same[k]), int(other[k]), int(block[k])))
                break
    return found
