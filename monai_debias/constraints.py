# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What one value may be: the kinds of constraints that ``expects`` declares, and those that have a name.

Number("(0, 1]")
OneOf("donor", "black")
NONE | SequenceOf(STRING, least=1)
"""

from __future__ import annotations

import math
import os
import re
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from monai_debias.constraint import Constraint


class Number(Constraint):
    """A real number of Python or numpy in an interval such as ``"(0, 1]"``; infinite only where it ends in ``inf]``.

    A bool, NaN, an array and a tensor are refused.
    """

    types: tuple[type, ...] = (int, float, np.integer, np.floating)
    noun, unbounded = "a number", "a finite number"

    def __init__(self, interval: str = "(-inf, inf)") -> None:
        parts = re.fullmatch(r"([\[(])(\S+), (\S+)([\])])", interval)
        if parts is None:
            raise ValueError(f"{interval!r} is not an interval such as '(0, 1]'.")
        self.interval = interval
        self.low, self.high = float(parts[2]), float(parts[3])
        self.has_low, self.has_high = parts[1] == "[", parts[4] == "]"

    def _has_type(self, value: Any) -> bool:
        return isinstance(value, self.types) and not isinstance(value, bool)

    def _in_range(self, value: Any) -> bool:
        if isinstance(value, int) and value.bit_length() > 63:  # more than numpy and torch can hold
            return False
        above = value >= self.low if self.has_low else value > self.low
        return bool(above and (value <= self.high if self.has_high else value < self.high))

    def __str__(self) -> str:
        return self.unbounded if self.interval == "(-inf, inf)" else f"{self.noun} in {self.interval}"


class Integer(Number):
    """An integer of Python or numpy, of at most 64 bits, in an interval such as ``"[1, inf)"``."""

    types = (int, np.integer)
    noun = unbounded = "an integer"


class Instance(Constraint):
    """An instance of one of some classes, and not a class itself."""

    def __init__(self, *types: type, name: str | None = None) -> None:
        self.types = types
        self.name = name or " or ".join(f"{'an' if t.__name__[0] in 'AEIOU' else 'a'} {t.__name__}" for t in types)

    def _has_type(self, value: Any) -> bool:
        return isinstance(value, self.types) and not isinstance(value, type)

    def __str__(self) -> str:
        return self.name


class OneOf(Constraint):
    """One of some strings, or of the members of an enumeration of strings."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def _has_type(self, value: Any) -> bool:
        return isinstance(value, str)

    def _in_range(self, value: str) -> bool:
        return value in self.options

    def __str__(self) -> str:
        return ", ".join(f"'{option}'" for option in self.options)


class Having(Constraint):
    """An object, not a class, that has some attributes."""

    def __init__(self, *attributes: str) -> None:
        self.attributes = attributes

    def _has_type(self, value: Any) -> bool:
        return not isinstance(value, type) and all(hasattr(value, name) for name in self.attributes)

    def __str__(self) -> str:
        return f"an object with {' and '.join(self.attributes)}"


class _Text(Instance):
    def _in_range(self, value: str | os.PathLike) -> bool:
        return bool(os.fspath(value))


class _ArrayLike(Instance):
    kinds = "biuf"  # of numpy's dtypes

    def _has_type(self, value: Any) -> bool:
        try:
            return super()._has_type(value) and (torch.is_tensor(value) or np.asarray(value).dtype.kind in self.kinds)
        except ValueError:  # lists of different lengths
            return False


class _LabelsLike(_ArrayLike):
    kinds = "biufU"


class _Loader(Instance):
    def _has_type(self, value: Any) -> bool:
        return super()._has_type(value) and not isinstance(value, str | bytes | Mapping | np.ndarray | torch.Tensor)


class _Dtype(Constraint):
    def _has_type(self, value: Any) -> bool:
        return isinstance(value, str | np.dtype | type)

    def _in_range(self, value: Any) -> bool:
        try:
            return np.dtype(value).kind in "biuf"
        except TypeError:
            return False

    def __str__(self) -> str:
        return "a numeric type of numpy, such as 'float32'"


class _Function(Constraint):
    def _has_type(self, value: Any) -> bool:
        return callable(value) and not isinstance(value, type)

    def __str__(self) -> str:
        return "a function"


class _Key(Constraint):
    def _has_type(self, value: Any) -> bool:
        return isinstance(value, Hashable) and value is not None and not isinstance(value, tuple)

    def __str__(self) -> str:
        return "a key such as 'image'"


class _Container(Constraint):
    """What has elements, each of which is checked by itself; an error names the one that is wrong."""

    noun: str

    def __init__(self, element: Constraint, least: int = 0, length: int | None = None) -> None:
        self.element = element
        self.least = least if length is None else length
        self.most = math.inf if length is None else length

    @abstractmethod
    def _elements(self, value: Any) -> Iterable[tuple[Any, Any]]:
        """The index or key of each element, and the element."""

    def _fits(self, value: Any) -> bool:
        return self.least <= len(value) <= self.most

    def _in_range(self, value: Any) -> bool:
        return self._fits(value) and all(self.element.allows(element) for _, element in self._elements(value))

    def has_elements(self, value: Any) -> bool:
        """Whether the value is a container of that kind."""
        return self._has_type(value)

    def check(self, name: str, value: Any) -> None:
        """Raise an error that names the element, if only that is wrong."""
        if not self.allows(value) and self._has_type(value) and self._fits(value):
            for place, element in self._elements(value):
                self.element.check(f"{name}[{place!r}]", element)
        super().check(name, value)

    def __str__(self) -> str:
        if self.least == self.most:
            return f"a {self.noun} of {self.least}, each {self.element}"
        return f"a {self.noun}{f' of {self.least} or more' if self.least else ''}, each {self.element}"


class SequenceOf(_Container):
    """A list, tuple, array or other sequence, neither a string nor a dictionary."""

    noun = "sequence"

    def _has_type(self, value: Any) -> bool:
        if isinstance(value, np.ndarray | torch.Tensor):
            return value.ndim > 0
        return isinstance(value, Sequence) and not isinstance(value, str | bytes)

    def _elements(self, value: Any) -> Iterable[tuple[int, Any]]:
        return enumerate(value.tolist() if isinstance(value, np.ndarray | torch.Tensor) else value)


class MappingOf(_Container):
    """A dictionary or other mapping, whose values and keys may have constraints of their own."""

    noun = "dictionary"

    def __init__(self, element: Constraint, key: Constraint | None = None, least: int = 0) -> None:
        super().__init__(element, least)
        self.key = key or ANY

    def _has_type(self, value: Any) -> bool:
        return isinstance(value, Mapping) and (self.key is ANY or all(self.key.allows(key) for key in value))

    def _elements(self, value: Any) -> Iterable[tuple[Any, Any]]:
        return value.items()


ANY = Instance(object, name="anything but a class")
NONE = Instance(type(None), name="None")
BOOL = Instance(bool, np.bool_, name="True or False")
STRING = _Text(str, name="a string")
PATH = _Text(str, os.PathLike, name="a path")
KEY = _Key()  # of a sample
KEYS = KEY | SequenceOf(KEY, least=1)  # MONAI's KeysCollection
ITEMS = SequenceOf(MappingOf(ANY)).called("a list of items, each a dictionary")  # of a datalist
SEED = Integer("[0, 4294967295]")  # what numpy, torch and scikit-learn take
FUNCTION = _Function()  # or an object that can be called, but no class
MODULE = Instance(torch.nn.Module)
TENSOR = Instance(torch.Tensor)
ARRAY = Instance(np.ndarray, torch.Tensor, name="an array or a tensor")
NUMBERS = _ArrayLike(np.ndarray, torch.Tensor, list, tuple, name="an array of numbers, or lists that make one")
LABELS = _LabelsLike(np.ndarray, torch.Tensor, list, tuple, name="an array of numbers or strings, or lists of them")
DTYPE = _Dtype()
LOADER = _Loader(Iterable, name="a loader of batches")
