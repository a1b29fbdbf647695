# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An opened file of any format: frames that are decoded when they are asked for, and their meta data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from monai_debias.data.reading import FileReadError

__all__ = ["ArrayClip", "Clip", "check_finite", "display_range"]


class Clip(Protocol):
    """An opened clip; a still is one of a single frame."""

    @property
    def n_frames(self) -> int:
        """Number of frames, at least 1."""

    @property
    def frame_bytes(self) -> int:
        """Size of one decoded frame in bytes, known before anything is decoded."""

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield the frames with these indices, None for all, each (rows, columns) or (rows, columns, 3)."""

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return what is known of frames of this size, such as their ``spacing`` and ``display_range``."""


class ArrayClip:
    """A clip in memory, of a format that holds nothing but the values.

    Args:
        frames: array (frames, rows, columns) or (frames, rows, columns, 3).

    Raises:
        FileReadError: if it has no values; from :meth:`decode` if a frame has values that are not finite.
    """

    def __init__(self, frames: np.ndarray) -> None:
        if frames.size == 0:
            raise FileReadError(f"has no values: its shape is {frames.shape}.")
        self._frames = frames

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self._frames)

    @property
    def frame_bytes(self) -> int:
        """Size of one frame in bytes."""
        return self._frames[0].nbytes

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield the frames with these indices, None for all."""
        for index in range(self.n_frames) if indices is None else indices:
            yield check_finite(np.array(self._frames[index]))

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return nothing, since nothing is known."""
        return {}


def display_range(black: float, white: float) -> dict[str, Any]:
    """Return the part of the meta that says which values are black and white, as a tensor (2,), which a batch stacks.

    Args:
        black: what is shown as black.
        white: what is shown as white.
    """
    return {"display_range": torch.tensor([black, white], dtype=torch.float64)}


def check_finite(frame: np.ndarray) -> np.ndarray:
    """Return a frame unchanged if all its values are finite.

    Args:
        frame: values of any shape.

    Raises:
        FileReadError: if some are NaN or infinite.
    """
    if not np.isfinite(frame).all():
        raise FileReadError("has values that are NaN or infinite.")
    return frame
