# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What finds the mask of an image, and what it says of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["FoundMask", "MaskFinder"]


class FoundMask(NamedTuple):
    """A mask, and how far to trust it.

    Attributes:
        mask: (rows, columns), True = region of interest.
        method: a word for how it was found.
        confidence: 0 to 1.
        doubts: what speaks against the mask, in words; ``""`` if nothing does.
        usable: whether to train with it without looking at it first.
    """

    mask: NDArray[np.bool_]
    method: str
    confidence: float
    doubts: str
    usable: bool


class MaskFinder(Protocol):
    """Finds the masks of one kind of images. It is sent to several processes, so it has to be picklable."""

    @property
    def signature(self) -> str:
        """Names what the masks follow from; a mask that was written under another one is looked for again."""

    def load(self, path: Path) -> torch.Tensor:
        """Read an image.

        Args:
            path: the file.

        Returns:
            (1, rows, columns), or (1, rows, columns, frames).

        Raises:
            UnrelatedFileError: if the file is something else.
            FileReadError: if it cannot be read.
        """

    def find(self, image: torch.Tensor) -> FoundMask:
        """Find the mask of an image.

        Args:
            image: what :meth:`load` returned.

        Raises:
            ValueError: if there is none; it says why.
        """
