# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
r"""Looks at growing parts of the data: where a part decides, the rest need not be asked.

If look k alone would accuse a network without a shortcut with a probability of :math:`w_k \alpha`, all looks together
do with at most :math:`\sum_k w_k \alpha = \alpha`, whatever makes one go on (Bonferroni). So the p-value of a look is
divided by its share :math:`w_k`, and its interval has the confidence :math:`1 - 0.05 \, w_k`. The last look has nearly
all of α, so that those who go on lose little. After: O'Brien and Fleming, Biometrics 1979, with simpler shares.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Look", "planned_looks"]

_EARLY = 0.2  # share of α of a first look
_SURE = 2e-4  # p-value that is small enough for dozens of findings, which Holm's method multiplies it with


class Look(NamedTuple):
    """One look."""

    n: int
    """How many images are asked about by then."""
    share: float
    """w, its part of the chance of a false alarm."""

    @property
    def confidence(self) -> float:
        """Of its interval."""
        return 1 - 0.05 * self.share

    def p(self, p: float) -> float:
        """The p-value that counts, of the one that the images by then have."""
        return min(1.0, p / self.share)

    def decides(self, low: float | None, high: float | None, p: float, delta: float) -> bool:
        """Whether an effect is surely δ or more, or surely less.

        Args:
            low: lower end of the interval of this look.
            high: upper end.
            p: the p-value that counts.
            delta: δ.
        """
        return low is not None and high is not None and (high < delta or (low >= delta and p <= _SURE))


def planned_looks(n: int, first: int) -> list[Look]:
    """A look at the first images and one at all, or only the latter where that is not twice as many.

    Args:
        n: how many images there are.
        first: how many a first look takes.

    Example:
        >>> planned_looks(1000, 400)
        [Look(n=400, share=0.2), Look(n=1000, share=0.8)]
        >>> planned_looks(700, 400)
        [Look(n=700, share=1.0)]
    """
    return [Look(n, 1.0)] if n < 2 * first else [Look(first, _EARLY), Look(n, 1 - _EARLY)]
