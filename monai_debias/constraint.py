# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a constraint is: it allows a value or says in an error what was expected, and it can be joined with others.

The kinds of constraints are in `constraints.py`.
"""

from __future__ import annotations

import inspect
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sized
from typing import Any

import numpy as np
import torch

__all__ = ["Constraint"]


class Constraint(ABC):
    """What a value may be; ``a | b`` is what either allows, ``str(a)`` is how a message says it."""

    @abstractmethod
    def _has_type(self, value: Any) -> bool:
        """Whether the value is of the kind that is asked for."""

    def _in_range(self, value: Any) -> bool:
        """Whether a value of the right type is one of those that are allowed."""
        return True

    @abstractmethod
    def __str__(self) -> str: ...

    def __or__(self, other: Constraint) -> Constraint:
        return _Either(self, other)

    def called(self, name: str) -> Constraint:
        """The same, with a shorter name than the one that it makes up."""
        return _Called(self, name)

    def allows(self, value: Any) -> bool:
        """Whether the value is allowed."""
        return self._has_type(value) and self._in_range(value)

    def has_elements(self, value: Any) -> bool:
        """Whether the value is a container of which each element is checked by itself."""
        return False

    def check(self, name: str, value: Any) -> None:
        """Raise a TypeError or a ValueError that calls the value by its name, unless it is allowed."""
        if not self.allows(value):
            error = ValueError if self._has_type(value) else TypeError
            raise error(f"{name} is {_described(value)}, expected {self}.")


class _Either(Constraint):
    """What one of some constraints allows."""

    def __init__(self, *options: Constraint) -> None:
        self.options: list[Constraint] = []
        for option in options:
            self.options += option.options if isinstance(option, _Either) else [option]

    def _has_type(self, value: Any) -> bool:
        return any(option._has_type(value) for option in self.options)

    def _in_range(self, value: Any) -> bool:
        return any(option.allows(value) for option in self.options)

    def check(self, name: str, value: Any) -> None:
        """Raise what all of them expect, or what is expected of the element of the only container among them."""
        if not self.allows(value):
            containers = [option for option in self.options if option.has_elements(value)]
            if len(containers) == 1:
                containers[0].check(name, value)
        super().check(name, value)

    def __str__(self) -> str:
        return " or ".join(str(option) for option in self.options)


class _Called(Constraint):
    """Another constraint by a name that was chosen."""

    def __init__(self, constraint: Constraint, name: str) -> None:
        self.constraint = constraint
        self.name = name

    def _has_type(self, value: Any) -> bool:
        return self.constraint._has_type(value)

    def _in_range(self, value: Any) -> bool:
        return self.constraint._in_range(value)

    def __str__(self) -> str:
        return self.name


def _described(value: Any) -> str:
    """A value that was not expected: as it is written, where that is short, else its type and size."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic):
        return reprlib.repr(value)
    if isinstance(value, type) or inspect.isroutine(value):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"of type {type(value).__name__} and shape {tuple(value.shape)}"
    name = type(value).__name__
    if isinstance(value, Sized) and isinstance(value, Iterable):
        return f"of type {name} and length {len(value)}" if len(value) else f"an empty {name}"
    return f"of type {name}"
