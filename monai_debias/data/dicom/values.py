# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Values of DICOM elements as they occur in files: missing, empty, doubled, text where a number belongs.

pydicom converts a value when it is asked for, and raises what the conversion raises. Here each kind of value has one
reader, whose only error names the element; :func:`optional` turns it into a warning where the image can do without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Sized
from typing import TYPE_CHECKING, Any, TypeVar

from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["items", "number", "numbers", "optional", "positive_numbers", "text", "whole_number"]

_T = TypeVar("_T")


def optional(read: Callable[[Dataset, str], _T | None], dataset: Dataset, keyword: str) -> _T | None:
    """Read a value that the image can do without: if it is not what it should be, then it is unknown, with a warning.

    Args:
        read: one of the other functions of this module.
        dataset: a pydicom data set.
        keyword: name of the element.

    Returns:
        What ``read`` returns, None if it raises.

    Example:
        >>> from pydicom import Dataset
        >>> optional(numbers, Dataset(), "FrameTime") is None
        True
    """
    try:
        return read(dataset, keyword)
    except FileReadError as error:
        warn(f"{error} It counts as unknown.")
        return None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Read one or several finite numbers.

    Args:
        dataset: a pydicom data set.
        keyword: name of the element.

    Returns:
        The numbers, None if the element is missing or empty.

    Raises:
        FileReadError: if it has anything else.
    """
    value = _value(dataset, keyword)
    if value is None:
        return None
    parts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise FileReadError(f"{keyword} is {_short(value)}, expected finite numbers.")
    return found


def positive_numbers(count: int) -> Callable[[Dataset, str], tuple[float, ...] | None]:
    """Make a reader of so many numbers above 0, as sizes and times are.

    Args:
        count: how many.

    Returns:
        A reader like :func:`numbers`.
    """

    def read(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
        found = numbers(dataset, keyword)
        if found is not None and (len(found) != count or min(found) <= 0):
            expected = f"{count} numbers" if count > 1 else "one number"
            raise FileReadError(f"{keyword} is {_short(list(found))}, expected {expected} above 0.")
        return found

    return read


def number(dataset: Dataset, keyword: str) -> float | None:
    """Read one finite number.

    Args:
        dataset: a pydicom data set.
        keyword: name of the element.

    Returns:
        The number, None if the element is missing or empty.

    Raises:
        FileReadError: if it has anything else.
    """
    found = numbers(dataset, keyword)
    if found is not None and len(found) != 1:
        raise FileReadError(f"{keyword} is {_short(list(found))}, expected one number.")
    return None if found is None else found[0]


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """Read one whole number that is not negative.

    Args:
        dataset: a pydicom data set.
        keyword: name of the element.

    Returns:
        The number, None if the element is missing or empty.

    Raises:
        FileReadError: if it has anything else.
    """
    found = number(dataset, keyword)
    if found is not None and (found < 0 or not found.is_integer()):
        raise FileReadError(f"{keyword} is {found}, expected a whole number that is not negative.")
    return None if found is None else int(found)


def text(dataset: Dataset, keyword: str) -> str | None:
    """Read one text.

    Args:
        dataset: a pydicom data set.
        keyword: name of the element.

    Returns:
        The text without spaces around it, None if the element is missing or empty.

    Raises:
        FileReadError: if it has anything else.
    """
    value = _value(dataset, keyword)
    if value is not None and not isinstance(value, str):
        raise FileReadError(f"{keyword} is {_short(value)}, expected one text.")
    return None if value is None else value.strip()


def items(dataset: Dataset, keyword: str) -> list[Dataset] | None:
    """Read the items of a sequence.

    Args:
        dataset: a pydicom data set.
        keyword: name of the element.

    Returns:
        The items, None if the element is missing or empty.

    Raises:
        FileReadError: if it is not a sequence.
    """
    from pydicom.sequence import Sequence as DicomSequence

    value = _value(dataset, keyword)
    if value is not None and not isinstance(value, DicomSequence):
        raise FileReadError(f"{keyword} is {_short(value)}, expected a sequence.")
    return None if value is None else list(value)


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return a value as pydicom converts it, None if it is missing or empty."""
    try:
        value = dataset.get(keyword)
    except Exception as error:  # whatever the constructor of the value's type raises
        raise FileReadError(f"{keyword} cannot be read ({_short(error)}).") from error
    return None if isinstance(value, Sized) and len(value) == 0 else value


def _short(value: Any) -> str:
    """Describe a value or an error in one line: a damaged header may have anything of any length in any place."""
    found = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else repr(value)
    return found if len(found) <= 60 else found[:59] + "…"
