# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A loader that may be empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["ShareLoader"]


class ShareLoader:
    """The batches of a process's share of the data, which may be none.

    MONAI's engines do not run at all over a loader of length 0, and the other processes would wait for this one's part
    of the results. So this has no length. It is for an evaluation of one epoch.

    Args:
        loader: gives the batches.

    Example:
        >>> list(ShareLoader([]))
        []
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)
