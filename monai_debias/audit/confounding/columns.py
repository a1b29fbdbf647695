# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What may be confounded with a label, as columns of whole numbers: one for each value, or for a range of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "as_column"]

_MOST_VALUES = 8  # a number with more values is cut into ranges
UNKNOWN = "unknown"


class Column(NamedTuple):
    """An attribute or property of N images.

    Attributes:
        name: what it is.
        codes: which of the values an image has, shape (N,).
        values: names of the values; a range is named by its ends.
    """

    name: str
    codes: NDArray[np.int64]
    values: tuple[str, ...]


def as_column(name: str, values: Sequence[Any]) -> Column:
    """Turn names or numbers into codes; numbers with many values into ranges with about as many images each.

    That an image has no value may go with its label, too: missing values (None, "" and NaN) are a value of their own.

    Args:
        name: what the values are.
        values: one for each image.

    Example:
        >>> as_column("sex", ["F", "M", None, "F"])
        Column(name='sex', codes=array([0, 1, 2, 0]), values=('F', 'M', 'unknown'))
        >>> as_column("age", range(80)).values[:2]
        ('0 to 9', '10 to 19')
    """
    known = [value for value in values if not _is_missing(value)]
    is_number = bool(known) and all(isinstance(value, int | float | np.number) for value in known)
    if is_number and len(set(known)) > _MOST_VALUES:
        return _ranges(name, np.array([np.nan if _is_missing(value) else float(value) for value in values]))
    # numbers and names in their own order
    names = sorted(set(known), key=lambda value: (isinstance(value, str), value if is_number else str(value)))
    place = {value: code for code, value in enumerate(names)}
    codes = np.array([place.get(value, len(names)) if not _is_missing(value) else len(names) for value in values])
    told = [f"{value:g}" if isinstance(value, float) else str(value) for value in names]
    return Column(name, codes.astype(np.int64), (*told, *([UNKNOWN] if len(known) < len(values) else [])))


def _ranges(name: str, numbers: NDArray[np.float64]) -> Column:
    known = ~np.isnan(numbers)
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, _MOST_VALUES + 1)[1:-1]))
    codes = np.searchsorted(edges, numbers, side="right")
    codes[~known] = len(edges) + 1
    there, codes = np.unique(codes, return_inverse=True)
    told = [
        f"{numbers[codes == code].min():.4g} to {numbers[codes == code].max():.4g}" if one <= len(edges) else UNKNOWN
        for code, one in enumerate(there)
    ]
    return Column(name, codes.astype(np.int64), tuple(told))


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value
