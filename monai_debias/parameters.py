# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What each parameter of a public class or function may be, declared above it and checked before its body runs.

    @expects(prob=Number("[0, 1]"), background=OneOf("donor", "black"), groups=NONE | SequenceOf(STRING, least=1))
    def __init__(self, prob: float = 1.0, background: str = "donor", groups: Sequence[str] | None = None) -> None:

A declaration names every parameter: one that is forgotten or misspelt is an error on import. What is passed is checked,
defaults are not. It says what a value must be by itself, by the kinds of `constraints.py`; the body checks whether
values fit each other, and what is on a disk. The idea is that of scikit-learn's parameter constraints.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from monai_debias.constraint import Constraint

_P = ParamSpec("_P")
_R = TypeVar("_R")


def expects(**constraints: Constraint) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Decorate a constructor or function with what its parameters may be.

    Args:
        constraints: one for each named parameter but ``self``.

    Returns:
        The decorator. What it makes has the signature, the documentation and the name of the function.

    Raises:
        TypeError: when the names are not those of the parameters; in a call, when a value has a wrong type.
        ValueError: in a call, when a value has a right type and is out of its range.

    Example:
        >>> from monai_debias.constraints import Number
        >>> @expects(share=Number("(0, 1]"))
        ... def keep(share):
        ...     return share
        >>> keep(2)
        Traceback (most recent call last):
        ValueError: keep: share is 2, expected a number in (0, 1].
        >>> keep("all")
        Traceback (most recent call last):
        TypeError: keep: share is 'all', expected a number in (0, 1].
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        kinds = inspect.signature(function).parameters
        positional = [n for n, p in kinds.items() if p.kind is not p.KEYWORD_ONLY]
        named = {n for n, p in kinds.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} - {"self"}
        name_of = function.__qualname__.removesuffix(".__init__")
        if named != constraints.keys():
            raise TypeError(f"{name_of}: {sorted(named ^ constraints.keys())} in the signature or in expects() only.")

        @functools.wraps(function)
        def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            for name, value in (*zip(positional, args, strict=False), *kwargs.items()):
                if name in constraints and not constraints[name].allows(value):
                    # a constructor may be that of a class that inherits it
                    owner = name_of if name_of == function.__qualname__ else type(args[0]).__qualname__
                    constraints[name].check(f"{owner}: {name}", value)
            return function(*args, **kwargs)

        checked._constraints = constraints  # type: ignore[attr-defined] # no command of the command line by its name
        return checked

    return decorate


def constraints_of(declaring: Callable) -> dict[str, Constraint]:
    """What a class's constructor or a function declares by :func:`expects`, for another that passes it on."""
    function = declaring.__init__ if inspect.isclass(declaring) else declaring
    return dict(getattr(function, "_constraints", {}))
