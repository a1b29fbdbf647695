# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, and the format of the numbers in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from monai_debias.metrics import paired_difference
from monai_debias.metrics.groups import PairedDifference


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table whose first columns are texts, and the others numbers."""
    rule = "|" + "---|" * texts + "---:|" * (len(head) - texts)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(cells) + " |" for cells in lines)])


def spread(
    values: Iterable[float],
    worst: Callable[[Sequence[float]], float] | None = None,
    factor: float = 100,
    digits: int = 1,
) -> str:
    """Mean and standard deviation over the seeds, and in brackets the worst of them.

    Args:
        values: one for each seed.
        worst: ``min`` where more is better, ``max`` where less is; None leaves the worst seed out.
        factor: 100 for percent.
        digits: after the point.
    """
    numbers = factor * np.array(list(values))
    mean = f"{rounded(numbers.mean(), digits):.{digits}f}"
    if len(numbers) == 1:
        return mean
    shown = f"{mean} ± {numbers.std(ddof=1):.{digits}f}"
    return shown if worst is None else f"{shown} ({rounded(worst(numbers.tolist()), digits):.{digits}f})"


def interval(difference: PairedDifference) -> str:
    """A difference and its bounds, in points."""
    return "{:+.1f} [{:.1f}, {:.1f}]".format(*(rounded(100 * x) for x in difference))


def rounded(x: float, digits: int = 1) -> float:
    """Round a number, without a negative zero."""
    return round(x, digits) + 0.0


def paired(first: dict[int, float], second: dict[int, float]) -> PairedDifference | None:
    """First minus second over the seeds that both have; None if these are fewer than two."""
    both = sorted(first.keys() & second.keys())
    if len(both) < 2:
        return None
    return paired_difference([first[seed] for seed in both], [second[seed] for seed in both])


def quartiles(values: np.ndarray, digits: int = 2) -> tuple[str, str]:
    """The median, and the first and third quartile, as they stand in a table of times."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.{digits}f}", f"{low:.{digits}f} … {high:.{digits}f}"
