# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a check of an audit is, so that you can add your own.

A check is an object with a name that says what it lacks, what it costs, and what it finds. Its settings are its
attributes, from which the audit knows whether a result on the disk is still that of the same check.
"""

from __future__ import annotations

from typing import Protocol

from monai_debias.audit.boxes import GRID
from monai_debias.audit.finding import Finding
from monai_debias.audit.subject import NotCheckableError, Subject

__all__ = ["Check", "NotCheckableError", "lacks_attributes", "lacks_grid"]


class Check(Protocol):
    """One thing that an audit looks at."""

    name: str

    def lacks(self, subject: Subject) -> str:
        """Why the check cannot be done with what is there; an empty string if it can."""

    def cost(self, subject: Subject) -> int:
        """How many images the network has to judge."""

    def __call__(self, subject: Subject) -> list[Finding]:
        """What the check finds.

        Raises:
            NotCheckableError: when it turns out that it cannot be done.
        """


def lacks_attributes(subject: Subject) -> str:
    """What a check of attributes says where there are none; an empty string if there are."""
    return "" if subject.attributes else "it takes attributes, such as the scanner or the hospital of each image"


def lacks_grid(subject: Subject) -> str:
    """What a check of places in the images says where they have no grid, or patients are few; else an empty string."""
    if len(subject.size) - 1 not in GRID:
        return f"it takes images of 1 to 3 spatial dimensions, these have {len(subject.size) - 1}"
    return "" if subject.n_patients >= 8 else f"it takes 8 patients or more, there are {subject.n_patients}"
