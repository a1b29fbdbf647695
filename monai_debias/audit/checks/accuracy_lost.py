# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The finding of an exchange that is decided by accuracy: what a part of another class costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_debias.audit.evidence import shown
from monai_debias.audit.exchange import Exchanged, Paste
from monai_debias.audit.finding import Finding
from monai_debias.audit.question import Question
from monai_debias.audit.resampling import interval, limit_of_none
from monai_debias.audit.subject import Subject

__all__ = ["accuracy_lost"]


def accuracy_lost(
    part: str,
    subject: Subject,
    question: Question,
    result: Exchanged,
    paste: Paste,
    delta: float,
    rng: np.random.Generator,
    **more: Any,
) -> Finding:
    """Make the finding of an exchange.

    Args:
        part: what was exchanged, such as "background".
        subject: the network and its images.
        question: the output that is asked.
        result: what the network said of the images with the part of the same class, and of another.
        paste: how these were made.
        delta: the smallest loss of accuracy that matters.
        rng: draws what interval and p-value resample.
        more: name of the check, what was tested, a note, and details that are its own.
    """
    low, high = interval(result.resampled(result.lost, rng))
    n_patients = len(set(result.patient.tolist()))
    if high is not None and not result.lost.any():
        high = limit_of_none(n_patients)
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
        effect=float(result.lost.mean()),
        low=low,
        high=high,
        unit="accuracy",
        delta=delta,
        p=result.p(rng),
        patients=n_patients,
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
