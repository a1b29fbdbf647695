# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Names and indices of the frames of a clip."""

from __future__ import annotations

from monai_debias.constraints import Integer, OneOf
from monai_debias.parameters import expects

__all__ = ["FRAME", "frame_index"]


FRAME = OneOf("middle", "first") | Integer()


@expects(frame=FRAME, n_frames=Integer("[0, inf)"))
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
    index = {"middle": n_frames // 2, "first": 0}[frame] if isinstance(frame, str) else frame
    if not -n_frames <= index < n_frames:
        raise ValueError(f"frame {index} was asked for, but there are {n_frames} frames (0 to {n_frames - 1}).")
    return index % n_frames
