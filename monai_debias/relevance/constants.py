# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What depends on the input and is a constant of a relevance pass: gates, attention weights, deviations.

They may multiply, divide or choose. Squares are *broken*, unless a root makes a deviation of their sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from monai_debias.relevance.operands import tensors_in
from monai_debias.relevance.operations import KEEPS_SQUARES, POWERS, in_place, may_stand_beside
from monai_debias.relevance.passes import Rule
from monai_debias.relevance.tagged import LOST, TaggedTensors
from monai_debias.relevance.tags import Role, Tag, UncoveredOperationError

__all__ = ["Constants"]

_NOTHING = Rule(lambda g: None, None)


class Constants(TaggedTensors):
    """How the constants of a relevance pass come about, and what may be made of them."""

    def constant(self, function: Callable, args: tuple, kwargs: dict[str, Any], what: str) -> torch.Tensor:
        """Compute a gate, attention weights or a deviation, which are constants of a relevance pass."""
        result = function(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        in_its_place = x in self.tags and result.data_ptr() == x.data_ptr()
        if in_its_place and self.shares_memory(x):
            why = "makes a gate in place of values that another tensor shows, through which relevance flows"
            self.tags[x] = Tag(Role.BROKEN, self.uncovered(function, why))
            self.tag_memory_of(x)
        constant = self._stopped(result, self.uncovered(function, what + LOST))
        if in_its_place:
            self.rename(x, constant, changed=True)
        return constant

    def _stopped(self, result: torch.Tensor, error: UncoveredOperationError | None = None) -> torch.Tensor:
        """The same values, from which no relevance goes back."""
        tag = Tag(Role.FACTOR, error)
        if result.requires_grad:
            return self.fork(result, [], _NOTHING, (), tag)
        self.tag_one(result, tag)
        return result

    def broken(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any], tags: list[Tag]) -> Any:
        """What is made of something broken is broken, except that the root of a sum of squares is a deviation."""
        broken = [tag for tag in tags if tag.role is Role.BROKEN]
        squares = all(tag.role is Role.CONSTANT or tag.square for tag in tags)
        if squares and name in POWERS and not in_place(function):
            return self.constant(function, args, kwargs, "makes a deviation")
        keeps = squares and name in KEEPS_SQUARES and (len(broken) == 1 or name in ("add", "sub"))
        result = function(*args, **kwargs)
        return self.mark(result, Role.BROKEN, function, args, error=broken[0].error, square=keeps)

    def square(self, function: Callable) -> dict[str, Any]:
        """What is known of squares, and of sums of them."""
        why = "makes squares, which have a rule only where a root of their sum divides (a normalisation)"
        return {"error": self.uncovered(function, why), "square": True}

    def spread_and_mean(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Compute a deviation or a variance, and a mean through which relevance flows."""
        spread, mean = function(*args, **kwargs)
        self.mark(mean, Role.FLOWS, function, (), batch_first=False)
        if name == "var_mean":
            return self.mark(spread, Role.BROKEN, function, (), **self.square(function)), mean
        return self._stopped(spread, self.uncovered(function, "makes a deviation" + LOST)), mean

    def with_gate(self, args: tuple) -> tuple:
        """Factors of a product; if one of two is the output of an activation that makes gates, it is a constant."""
        if len(args) != 2 or not all(self.flows(a) for a in args):
            return args
        gates = [self.tags[a].activated for a in args]
        if sum(gates) != 1:
            return args
        return tuple(self._stopped(a) if is_gate else a for a, is_gate in zip(args, gates, strict=True))

    def refuse_added_factors(self, name: str, args: tuple, kwargs: dict[str, Any]) -> None:
        """Refuse a constant that is added to what relevance flows through: its own relevance would be lost."""
        arguments: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        for where, value in arguments:
            tags = [] if may_stand_beside(name, where) else [self.tags.get(t) for t in tensors_in(value)]
            for tag in tags:
                if tag is not None and tag.role is Role.FACTOR and tag.error is not None:
                    raise tag.error
