# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Names and indices of the frames of a clip."""

from __future__ import annotations

__all__ = ["check_frame", "frame_index"]


def frame_index(frame: str | int, n_frames: int) -> int:
    """Turn the name of a frame into its index.

    Args:
        frame: ``"middle"`` (``n_frames // 2``), ``"first"``, or an index; a negative one counts from the end.
        n_frames: number of frames of the clip.

    Returns:
        An index from 0 to ``n_frames - 1``.

    Raises:
        ValueError: if there is no such frame; it names the number of frames.

    Example:
        >>> frame_index("middle", 30), frame_index(-1, 30)
        (15, 29)
    """
    check_frame(frame)
    index = {"middle": n_frames // 2, "first": 0}[frame] if isinstance(frame, str) else frame
    if not -n_frames <= index < n_frames:
        raise ValueError(f"frame {index} was asked for, but there are {n_frames} frames (0 to {n_frames - 1})")
    return index % n_frames


def check_frame(frame: str | int, choices: str = "'middle', 'first'") -> None:
    """Refuse what cannot be the name or the index of a frame.

    Args:
        frame: what was given.
        choices: the names that the message offers.

    Raises:
        ValueError: if it is neither a known name nor an int.

    Example:
        >>> check_frame("last")
        Traceback (most recent call last):
        ValueError: frame is 'last', expected 'middle', 'first' or an int
    """
    is_index = isinstance(frame, int) and not isinstance(frame, bool)
    if not is_index and frame not in ("middle", "first"):
        raise ValueError(f"frame is {frame!r}, expected {choices} or an int")
