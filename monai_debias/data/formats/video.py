# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Clips in AVI and MP4 files, decoded by OpenCV (the extra ``video``).

OpenCV rather than PyAV, whose wheels contain encoders under the GPL; MONAI reads videos with OpenCV, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.formats.clip import display_range
from monai_debias.data.formats.video_container import check_container
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from cv2 import VideoCapture

__all__ = ["VIDEO_SUFFIXES", "VideoClip"]

VIDEO_SUFFIXES = (".avi", ".mp4", ".m4v", ".mov")


class VideoClip:
    """The frames of a video file, which are decoded when they are asked for.

    Frames are red, green and blue in the full range of 0 to 255, the way a player shows them. To get a single frame, a
    video in which every frame is a key frame, as in Motion JPEG, is positioned there; in other videos the frames before
    it are decoded as well, since positioning between key frames is not exact in every codec. Later frames are not
    decoded.

    Args:
        path: the file.

    Raises:
        FileReadError: if the file is not a video, has no frames, is cut short, or has fewer frames than it says.
        OptionalImportError: if OpenCV is not installed.
    """

    def __init__(self, path: Path) -> None:
        check_container(path)
        self._path = path
        with _open(path) as video:
            declared, self._fps = _get(video, "FRAME_COUNT"), _get(video, "FPS")
            self.frame_bytes = 3 * int(_get(video, "FRAME_HEIGHT")) * int(_get(video, "FRAME_WIDTH"))
        times, self._only_key_frames = _scan(path)
        self._times = sorted(times)  # frames that refer to later ones are stored after them
        is_avi = path.suffix.lower() == ".avi"  # which knows when a frame is decoded, but not when it is shown
        self._has_exact_times = len(set(times)) == len(times) and (self._only_key_frames or not is_avi)
        self.n_frames = len(times)
        if self.n_frames == 0 or self.n_frames != declared:
            raise FileReadError(
                f"the header of the video declares {declared:g} frames, but the file holds {self.n_frames}."
            )

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Decode frames.

        Args:
            indices: which frames, in increasing order; None for all.

        Yields:
            Frames of shape (rows, columns, 3), uint8.
        """
        wanted = range(self.n_frames) if indices is None else indices
        with _open(self._path) as video:
            position = self._seek(video, wanted[0])
            for index in wanted:
                for skipped in range(position, index):
                    self._require_frame(video.grab(), video, skipped)
                decoded, frame = video.read()
                self._require_frame(decoded, video, index)
                position = index + 1
                yield frame[..., ::-1]

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return the ``display_range``, and the ``frame_time`` in milliseconds if the file gives a frame rate."""
        if math.isfinite(self._fps) and self._fps > 0:
            return {**display_range(0, 255), "frame_time": 1000.0 / self._fps}
        warn(f"the frame rate is {self._fps}; the time between frames is unknown.")
        return display_range(0, 255)

    def _seek(self, video: VideoCapture, index: int) -> int:
        """Go to a frame if that is exact; return the position, from which the caller goes on frame by frame."""
        import cv2

        if index == 0 or not (self._only_key_frames and self._has_exact_times):
            return 0
        # one frame early, so that the time of that frame tells whether the video stands where it should
        video.set(cv2.CAP_PROP_POS_FRAMES, index - 1)
        if video.grab() and self._is_at(video, index - 1):
            return index
        video.open(str(self._path.absolute()), cv2.CAP_FFMPEG)
        return 0

    def _require_frame(self, decoded: bool, video: VideoCapture, index: int) -> None:
        """Refuse a frame that is missing, and one that OpenCV returns in place of others that it could not decode."""
        if not decoded or (self._has_exact_times and not self._is_at(video, index)):
            raise FileReadError(f"frame {index} of the {self.n_frames} of the video cannot be decoded; it is damaged.")

    def _is_at(self, video: VideoCapture, index: int) -> bool:
        return _get(video, "POS_MSEC") == self._times[index]


def _scan(path: Path) -> tuple[list[float], bool]:
    """Read the times of all frames in milliseconds, and whether all are key frames; nothing is decoded."""
    import cv2

    times, only_key_frames = [], True
    with _open(path, cv2.CAP_PROP_FORMAT, -1) as packets:
        while packets.grab():
            times.append(_get(packets, "POS_MSEC"))
            only_key_frames &= bool(_get(packets, "LRF_HAS_KEY_FRAME"))
    return times, only_key_frames


@contextmanager
def _open(path: Path, *parameters: int) -> Iterator[VideoCapture]:
    try:
        import cv2
    except ImportError as error:
        raise OptionalImportError("needs the package OpenCV: pip install opencv-python-headless.") from error
    # the full path, since a name alone could be taken for the address of a stream
    video = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, list(parameters))
    try:
        if not video.isOpened():
            raise FileReadError("the video cannot be opened: it is damaged, or OpenCV has no decoder for it.")
        yield video
    finally:
        video.release()


def _get(video: VideoCapture, name: str) -> float:
    import cv2

    return float(video.get(getattr(cv2, f"CAP_PROP_{name}")))
