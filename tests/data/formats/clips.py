# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A clip with a motion, and videos of it."""

from __future__ import annotations

import numpy as np
import pytest

RNG = np.random.default_rng(0)
# 40 frames of 48 rows and 64 columns in which a bright block moves, so that codecs between key frames have a motion
CLIP = (RNG.integers(0, 60, (1, 48, 64)) + np.zeros((40, 1, 1))).astype(np.uint8)
for _frame in range(40):
    CLIP[_frame, 10:20, _frame : _frame + 12] = 200 + _frame


def write_video(path, codec, frames=CLIP, fps=50.0):
    """Write frames (n, rows, columns) or (n, rows, columns, 3)."""
    cv2 = pytest.importorskip("cv2")
    size = frames.shape[2], frames.shape[1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size, True)
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR if frame.ndim == 3 else cv2.COLOR_GRAY2BGR))
    writer.release()
    return path
