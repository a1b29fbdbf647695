# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Something that goes with the label, and how much."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ALPHA", "ATTRIBUTE", "PROPERTY", "Confounder"]

ATTRIBUTE, PROPERTY = "attribute", "property of the files"
ALPHA = 0.05  # chance that any line is called more than chance where none is


class Confounder(NamedTuple):
    """How much an attribute tells about a label, or how well a property of the files predicts it.

    Attributes:
        kind: ``ATTRIBUTE`` or ``PROPERTY``.
        name: what it is.
        label: name of the label; "" if there is one question only.
        effect: of an attribute its share of the label's entropy, from 0 to 1; of a property the AUC, 0.5 for nothing.
        low: lower end of its 95 % interval.
        high: upper end.
        chance: effect that 95 % of the permutations stay below.
        p: one-sided p-value.
        adjusted_p: p-value corrected for all lines of its kind.
        values: number of its values or ranges of values.
        patients: number of patients.
    """

    kind: str
    name: str
    label: str
    effect: float
    low: float
    high: float
    chance: float
    p: float
    adjusted_p: float
    values: int
    patients: int

    @property
    def title(self) -> str:
        """The name, and that of the label where there are several."""
        return f"{self.name}, {self.label}" if self.label else self.name

    @property
    def is_more_than_chance(self) -> bool:
        """Whether the corrected p-value is at most 0.05."""
        return self.adjusted_p <= ALPHA
