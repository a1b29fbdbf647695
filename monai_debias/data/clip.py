# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What an opened file holds, whatever its format: frames that are decoded when they are asked for, and their meta."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

__all__ = ["ArrayClip", "Clip"]


class Clip(Protocol):
    """An opened clip; a still is one of a single frame."""

    @property
    def n_frames(self) -> int:
        """Number of frames, at least 1."""

    @property
    def patient_id(self) -> str:
        """The patient that the file names, "" if it names none; never to be printed."""

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield the frames with these indices, None for all, each (rows, columns) or (rows, columns, 3)."""

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return what is known of ``spacing``, ``frame_time`` and ``ultrasound_regions`` of frames of this size."""


class ArrayClip:
    """A clip in memory, of a format that tells no more than the values.

    Args:
        frames: array (frames, rows, columns) or (frames, rows, columns, 3).
    """

    patient_id = ""

    def __init__(self, frames: np.ndarray) -> None:
        self._frames = frames

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield the frames with these indices, None for all."""
        yield from self._frames if indices is None else self._frames[list(indices)]

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return nothing, since nothing is known."""
        return {}
