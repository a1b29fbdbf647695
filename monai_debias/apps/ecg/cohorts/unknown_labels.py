# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that a cohort's own table does not know: left out, and counted in a warning."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

__all__ = ["UnknownLabels"]

_SHOWN = 8


class UnknownLabels:
    """Counts labels that a table does not know.

    Args:
        table: the table.
    """

    def __init__(self, table: Path) -> None:
        self.table = table
        self.counts: Counter[str] = Counter()

    def among(self, labels: set[str], known: set[str]) -> bool:
        """Count those of a record that are unknown, and tell whether that is all it has.

        Args:
            labels: of one record.
            known: those of the table.
        """
        self.counts.update(labels - known)
        return not labels & known

    def warn(self) -> None:
        """Warn of what was counted, if anything was."""
        if self.counts:
            first = ", ".join(f"{label} ({count})" for label, count in self.counts.most_common(_SHOWN))
            more = ", …" if len(self.counts) > _SHOWN else ""
            warnings.warn(
                f"{self.counts.total()} labels are left out, since {self.table} does not have them: {first}{more}.",
                stacklevel=2,
            )
