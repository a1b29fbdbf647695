# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A testbed of the evidence: data, a budget, methods, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

Row = dict[str, Any]
Rows = Sequence[dict[str, str]]
Budget = TypeVar("Budget")
LESS_IS_BETTER = ("gap", "background_relevance", "by_heart")  # columns


class Titled(Protocol):
    """A method, as far as a table shows it."""

    @property
    def title(self) -> str:
        """Its name."""

    @property
    def settings(self) -> str:
        """Whose settings these are, and which."""


@dataclass(frozen=True)
class Testbed(Generic[Budget]):
    """A testbed, whose methods the command line trains, and for which the report writes a page.

    Args:
        name: its name on the command line, and that of its files.
        methods: all methods, by name.
        main: names of the methods that are trained by default.
        splits: the measurements on test data, column: title; the shifted split comes last.
        budget: the budget of every run, whatever its method.
        quick: the budget of a smoke test.
        run: trains and judges a method once, from its name, a seed, a strength and a budget; returns a line.
        remarks: the text below the table, from all lines.
        strengths: the default strengths of the bias or noise.
        strength: what a strength is, in words.
        measure: unit of the splits.
        groups: what follows from the splits: the worst group and the gap, column: title.
        axes: further measurements, column: title.
        gap: the loss on the shifted split from which the plain network counts as a shortcut learner.
    """

    name: str
    methods: Mapping[str, Titled]
    main: tuple[str, ...]
    splits: Mapping[str, str]
    budget: Budget
    quick: Budget
    run: Callable[[str, int, float, Budget], Row]
    remarks: Callable[[Rows], str]
    strengths: tuple[float, ...] = (1.0,)
    strength: str = ""
    measure: str = "accuracy, %"
    groups: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)
    gap: float = 0.0

    def columns(self) -> dict[str, str]:
        """The columns of a table, and their titles."""
        return {**self.splits, **self.groups, **self.axes}

    def title(self, method: str) -> str:
        """The title of a method, which variants share, and for these also their name on the command line."""
        title = self.methods[method].title
        return title if method in self.main else f"{title} (`{method}`)"


def values(rows: Rows, method: str, strength: str, column: str) -> dict[int, float]:
    """Of one method at one strength, by seed."""
    chosen = [row for row in rows if row["method"] == method and row["strength"] == strength]
    return {int(row["seed"]): float(row[column]) for row in chosen}


def groups(testbed: Testbed, rows: Rows) -> list[tuple[str, str]]:
    """The pairs (strength, method) that there are, strongest first, methods in their own order."""
    there, order = {(row["strength"], row["method"]) for row in rows}, list(testbed.methods)
    return sorted(there, key=lambda pair: (-float(pair[0]), order.index(pair[1])))


def testbed_of(name: str, testbeds: Mapping[str, Testbed]) -> Testbed:
    """The testbed of a name from the command line.

    Raises:
        ValueError: when there is none.
    """
    if name not in testbeds:
        raise ValueError(f"unknown testbed {name!r}; there are {', '.join(testbeds)}.")
    return testbeds[name]
