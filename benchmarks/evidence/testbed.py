# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a testbed of the evidence is: data, a budget, methods, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

Row = dict[str, Any]
Rows = Sequence[dict[str, str]]
Budget = TypeVar("Budget")
LESS_IS_BETTER = ("gap", "background_relevance")  # columns


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
    """A testbed, of which the command line trains methods and the report makes a page.

    Args:
        name: on the command line, and of its files.
        methods: all of them, by name.
        main: names of those that are trained unless others are asked for.
        splits: what is measured on test data, column: title; the shifted split comes last.
        budget: what every run has, whatever its method.
        quick: that of a smoke test.
        run: trains and judges a method once, from its name, a seed, a strength and a budget; returns a line.
        remarks: what stands below the table, from all lines.
        strengths: of the bias or noise, unless others are asked for.
        strength: what a strength is.
        measure: unit of the splits.
        groups: what follows from the splits: the worst group and the gap, column: title.
        axes: what else is measured, column: title.
        gap: loss on the shifted split from which on the plain network counts as a shortcut learner.
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
        """What a table shows: columns of the results, and their titles."""
        return {**self.splits, **self.groups, **self.axes}

    def title(self, method: str) -> str:
        """The title of a method, which variants share, and for these the name by which they are asked for."""
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
