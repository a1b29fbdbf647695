# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Videos as EchoNet-Dynamic has them: their values, single frames, and damage."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest
from monai.utils import OptionalImportError

from monai_debias.apps.ultrasound import LoadUltrasoundd
from monai_debias.data import FileReadError
from tests.data.formats.clips import CLIP, RNG, write_video
from tests.data.image_files import load

cv2 = pytest.importorskip("cv2")
SOI = b"\xff\xd8"  # what a JPEG begins with


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "HFYU"), ("clip.AVI", "FFV1")])
def test_lossless_video_gives_the_values_that_went_in(tmp_path, name, codec):
    array, meta = load(write_video(tmp_path / name, codec))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, CLIP.transpose(1, 2, 0))
    assert meta["n_frames"] == 40
    assert meta["frame_time"] == pytest.approx(20.0)
    assert "spacing" not in meta
    color = RNG.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    array, _ = load(write_video(tmp_path / name, codec, color), color="rgb")
    np.testing.assert_array_equal(array, color.transpose(1, 2, 0, 3))


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "MJPG"), ("clip.mp4", "mp4v"), ("clip.mov", "mp4v")])
def test_lossy_video_is_upright_in_full_range_and_grey(tmp_path, name, codec):
    black_to_white = np.repeat(np.linspace(0, 255, 48)[:, None], 64, axis=1).astype(np.uint8)
    frames = np.stack([black_to_white] * 4)
    array, _ = load(write_video(tmp_path / name, codec, frames))
    assert abs(array.astype(int) - black_to_white[..., None]).max() <= 12
    assert array.min() <= 2
    assert array.max() >= 252


@pytest.mark.parametrize(
    ("name", "codec"), [("c.avi", "MJPG"), ("c.avi", "HFYU"), ("c.avi", "FFV1"), ("c.mp4", "mp4v")]
)
def test_one_frame_of_a_video_is_the_one_of_the_whole(tmp_path, name, codec):
    path = write_video(tmp_path / name, codec)
    whole, _ = load(path)
    for frame, index in (("first", 0), (1, 1), ("middle", 20), (-2, 38), (-1, 39)):
        one, meta = load(path, frames=frame)
        np.testing.assert_array_equal(one, whole[..., index])
        assert meta["n_frames"] == 40
    with pytest.raises(FileReadError, match=r"frame 40 was asked for, but there are 40 frames"):
        load(path, frames=40)


def test_frames_that_are_not_asked_for_are_not_decoded(tmp_path):
    path = write_video(tmp_path / "keys.avi", "MJPG")
    wanted, _ = load(path, frames=35)
    content = bytearray(path.read_bytes())
    starts = [at for at in range(len(content)) if content[at : at + 4] == b"00dc" and content[at + 8 : at + 10] == SOI]
    assert len(starts) == 40
    for index in {*range(1, 18), *range(36, 40)}:  # OpenCV looks at the first, and begins 16 early
        (size,) = struct.unpack("<I", content[starts[index] + 4 : starts[index] + 8])
        content[starts[index] + 8 : starts[index] + 8 + size] = bytes(size)
    path.write_bytes(content)
    np.testing.assert_array_equal(load(path, frames=35)[0], wanted)
    for frames in ("all", 1, 38):
        with pytest.raises(FileReadError, match=r"keys\.avi: frame \d+ of the 40 of the video cannot be decoded"):
            load(path, frames=frames)


def test_a_frame_is_not_taken_for_another_when_one_before_it_is_damaged(tmp_path):
    """OpenCV goes on to the next frame that it can decode."""
    path = write_video(tmp_path / "a.mp4", "mp4v")
    content = bytearray(path.read_bytes())
    size_table = content.index(b"stsz") + 4 + 12
    sizes = struct.unpack(">40I", content[size_table : size_table + 160])
    start = content.index(b"mdat") + 4 + sum(sizes[:10])
    content[start : start + sizes[10]] = bytes(sizes[10])
    path.write_bytes(content)
    with pytest.raises(FileReadError, match=r"a\.mp4: frame 10 of the 40 of the video cannot be decoded"):
        load(path, frames="middle")


def test_video_that_is_cut_short(tmp_path):
    avi = write_video(tmp_path / "a.avi", "MJPG")
    content = avi.read_bytes()
    for lost in (100, len(content) // 3):
        avi.write_bytes(content[:-lost])
        with pytest.raises(FileReadError, match=rf"a\.avi: .*cut short: {len(content) - lost} of {len(content)} bytes"):
            load(avi, frames="first")
    mp4 = write_video(tmp_path / "a.mp4", "mp4v")
    content = mp4.read_bytes()
    for lost in (10, len(content) // 3):
        mp4.write_bytes(content[:-lost])
        with pytest.raises(FileReadError, match=rf"a\.mp4: .*cut short: {len(content) - lost} of"):
            load(mp4, frames="first")


def test_video_with_fewer_frames_than_its_header_says(tmp_path):
    path = write_video(tmp_path / "a.avi", "MJPG")
    content = path.read_bytes()
    length = content.index(b"strh") + 8 + 32  # dwLength of the stream
    assert struct.unpack("<I", content[length : length + 4]) == (40,)
    path.write_bytes(content[:length] + struct.pack("<I", 50) + content[length + 4 :])
    with pytest.raises(
        FileReadError, match=r"a\.avi: the header of the video declares 50 frames, but the file holds 40"
    ):
        load(path)


@pytest.mark.parametrize("name", ["list.avi", "list.mp4"])
def test_what_only_has_the_name_of_a_video_is_not_handed_to_ffmpeg(tmp_path, name):
    """A playlist would have FFmpeg open whatever it names."""
    target = write_video(tmp_path / "target.avi", "MJPG")
    (tmp_path / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n")
    with pytest.raises(FileReadError, match=rf"{name}: is not an AVI, MP4 or QuickTime video"):
        load(tmp_path / name)


def test_without_opencv_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.avi", "MJPG")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(OptionalImportError, match=r"clip\.avi: needs the package OpenCV: pip install opencv"):
        load(path)


def test_videos_load_like_dicom_clips(tmp_path):
    path = write_video(tmp_path / "clip.avi", "HFYU")
    image = LoadUltrasoundd("image")({"image": path})["image"]
    assert image.shape == (1, 48, 64, 40)
    assert image.meta["n_frames"] == 40
    assert list(image.meta["spatial_shape"]) == [48, 64, 40]
