# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The finding of an exchange that is decided by accuracy: what a part of another class costs."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np

from monai_debias.audit.decision import exchange_until_decided
from monai_debias.audit.evidence import shown
from monai_debias.audit.exchange import Pairs, Paste
from monai_debias.audit.finding import Finding
from monai_debias.audit.question import Question
from monai_debias.audit.subject import Subject

__all__ = ["accuracy_lost"]

_FIRST = 400  # images of a first look, enough to exclude two points where no patient loses an answer


def accuracy_lost(
    part: str,
    subject: Subject,
    question: Question,
    pairs: Pairs,
    paste: Paste,
    delta: float,
    rng: np.random.Generator,
    **more: Any,
) -> Finding:
    """Exchange a part, as far as it takes to decide, and make the finding.

    Args:
        part: what is exchanged, such as "background".
        subject: the network and its images.
        question: the output that is asked.
        pairs: who receives what.
        paste: makes the images.
        delta: the smallest loss of accuracy that matters.
        rng: draws what interval and p-value resample.
        more: name of the check, what was tested, a note, and details that are its own.
    """
    decided = exchange_until_decided(subject, question, pairs, paste, attrgetter("lost"), delta, _FIRST, rng)
    result = decided.result
    details = {
        **more.pop("details", {}),
        "images": len(result.pairs.receiver),
        "pairs of donor patients": len(set(result.pairs.block.tolist())),
        f"accuracy, {part} of the same class": float(result.right[:, 0].mean()),
        f"accuracy, {part} of another class": float(result.right[:, 1].mean()),
        "mean fall of the probability of the true class": float(result.change.mean()),
    }
    return Finding(
        level="used",
        measure=f"of accuracy lost when the {part} is that of another class instead of the own class",
        effect=decided.effect,
        low=decided.low,
        high=decided.high,
        unit="accuracy",
        delta=delta,
        p=decided.p,
        patients=decided.patients,
        limit_of_none=decided.limit_of_none,
        question=question.name,
        mends=("backmix", "background_blend", "isnet"),
        details=details,
        evidence=shown(subject, question, result, paste, f"{part} of"),
        changes=tuple(
            (subject.numbers[row], float(change))
            for row, change in zip(result.pairs.receiver.tolist(), result.change, strict=True)
        ),
        **more,
    )
