# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The images on which an exchange has the largest effect, before and after it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.audit.exchange import Exchanged, Paste, swap
from monai_debias.audit.finding import Evidence
from monai_debias.audit.pictures import before_and_after
from monai_debias.audit.question import Question
from monai_debias.audit.subject import Subject

__all__ = ["picture_pairs", "shown"]


def shown(
    subject: Subject, question: Question, result: Exchanged, paste: Paste, what: str, n: int = 5
) -> tuple[Evidence, ...]:
    """The images whose true class loses most, each of another patient.

    Args:
        subject: network and images.
        question: what was asked.
        result: what the network said.
        paste: how the images were made.
        what: the beginning of the caption, such as ``"background of"``.
        n: how many.
    """
    best: list[int] = []
    for k in np.argsort(-result.change, kind="stable").tolist():
        if len(best) < n and result.patient[k] not in result.patient[best] and result.change[k] > 0:
            best.append(k)
    if not best:
        return ()
    pairs = result.pairs.of(best)
    images, _, changed = swap(subject, pairs, paste)
    own = 1 / (1 + np.exp(-question.own(subject.odds[pairs.receiver], pairs.receiver)))
    after = 1 / (1 + np.exp(-result.own[best, 1]))
    return tuple(
        Evidence(
            subject.numbers[row],
            f"{question.class_names[question.classes[row]]}, {what} {question.class_names[question.classes[donor]]}: "
            f"p({question.class_names[question.classes[row]]}) {p:.2f} → {q:.2f}",
            *before_and_after(images[i], changed[i]),
        )
        for i, (row, donor, p, q) in enumerate(zip(pairs.receiver, pairs.other, own, after, strict=True))
    )


def picture_pairs(
    subject: Subject, rows: NDArray[np.int64], change: Callable[[torch.Tensor], torch.Tensor], caption: str
) -> tuple[Evidence, ...]:
    """Some images before and after a change that needs no donor.

    Args:
        subject: network and images.
        rows: which images.
        change: takes and returns a batch (B, C, spatial...).
        caption: what is done.
    """
    if not len(rows):
        return ()
    images = subject.images(rows)
    return tuple(
        Evidence(subject.numbers[row], caption, *before_and_after(before, after))
        for row, before, after in zip(rows.tolist(), images, change(images), strict=True)
    )
