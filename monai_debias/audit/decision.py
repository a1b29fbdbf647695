# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What exchanges decide: an effect with its interval and p-value, of as many images as it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_debias.audit.exchange import Exchanged, Pairs, Paste, exchange_parts, some_of
from monai_debias.audit.looks import planned_looks
from monai_debias.audit.question import Question
from monai_debias.audit.resampling import end_with_none, interval
from monai_debias.audit.subject import Subject

__all__ = ["Decision", "exchange_until_decided"]

Floats = NDArray[np.float64]


class Decision(NamedTuple):
    """The last look at exchanges."""

    result: Exchanged
    effect: float
    low: float | None
    """Lower end of the interval."""
    high: float | None
    limit_of_none: bool
    """Whether no value is above 0, and the interval ends with the exact limit of none in so many patients."""
    p: float
    patients: int


def exchange_until_decided(
    subject: Subject,
    question: Question,
    pairs: Pairs,
    paste: Paste,
    values: Callable[[Exchanged], Floats],
    delta: float,
    first: int,
    rng: np.random.Generator,
    above: bool = False,
) -> Decision:
    """Exchange parts of some images, and go on to all pairs only where these do not decide.

    Args:
        subject: network and images.
        question: what it is asked.
        pairs: who receives what.
        paste: makes the images.
        values: of each receiver, -1 to 1, whose mean is the effect.
        delta: δ, the smallest effect that matters.
        first: receivers of a first look, see :mod:`monai_debias.audit.looks`.
        rng: draws receivers, resamples and signs.
        above: whether p is that of an effect of at most δ, instead of one of 0.
    """
    planned = planned_looks(len(pairs.receiver), first)
    if len(planned) > 1:
        pairs = some_of(pairs, len(pairs.receiver), rng)
    result: Exchanged | None = None
    for look in planned:
        asked = 0 if result is None else len(result.patient)
        more = exchange_parts(subject, question, pairs.of(slice(asked, look.n)), paste)
        result = more if result is None else result.followed_by(more)
        found = values(result)
        n_patients, effect = len(np.unique(result.patient)), float(found.mean())
        resampled = result.resampled(found, rng)
        low, high = interval(resampled, look.confidence)
        none = False
        if not (found > 0).any():
            high, none = end_with_none(high, effect, n_patients, look.confidence)
        p = result.p(rng)
        if above:
            p = max(p, (1 + int((resampled <= delta).sum())) / (1 + len(resampled)))
        decided = Decision(result, effect, low, high, none, look.p(p), n_patients)
        if look.decides(low, high, decided.p, delta):
            break
    return decided
