# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Clips outside DICOM: videos as EchoNet-Dynamic has them, NIfTI as CAMUS has it, and NumPy arrays."""

from __future__ import annotations

import os
import struct
import sys

import nibabel as nib
import numpy as np
import pytest
from monai.utils import OptionalImportError
from PIL import Image

from monai_debias.apps.ultrasound import LoadUltrasoundd, UltrasoundReader
from monai_debias.data import FileReadError, FileReadWarning

cv2 = pytest.importorskip("cv2")

_RNG = np.random.default_rng(0)
# 40 frames of 48 rows and 64 columns in which a bright block moves, so that codecs between key frames have a motion
CLIP = (_RNG.integers(0, 60, (1, 48, 64)) + np.zeros((40, 1, 1))).astype(np.uint8)
SOI = b"\xff\xd8"  # what a JPEG begins with
for _frame in range(40):
    CLIP[_frame, 10:20, _frame : _frame + 12] = 200 + _frame


def write_video(path, codec, frames=CLIP, fps=50.0):
    """Write frames (n, rows, columns) or (n, rows, columns, 3)."""
    size = frames.shape[2], frames.shape[1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size, True)
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR if frame.ndim == 3 else cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def load(path, **kwargs):
    reader = UltrasoundReader(**kwargs)
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "HFYU"), ("clip.AVI", "FFV1")])
def test_lossless_video_gives_the_values_that_went_in(tmp_path, name, codec):
    array, meta = load(write_video(tmp_path / name, codec))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, CLIP.transpose(1, 2, 0))
    assert meta["n_frames"] == 40
    assert meta["frame_time"] == pytest.approx(20.0)
    assert "spacing" not in meta
    color = _RNG.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
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
    with pytest.raises(FileReadError, match=r"a\.avi: the header of the video tells of 50 frames, but it holds 40"):
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
    with pytest.raises(OptionalImportError, match=r"clip\.avi: needs OpenCV; pip install \"monai-debias\[video\]\""):
        load(path)


@pytest.mark.parametrize("units", ["mm", "micron", "unknown"])
def test_nifti_clip_as_camus_has_it(tmp_path, units):
    """CAMUS: columns, rows, frames; its half sequences have the frames on the third axis."""
    image = nib.Nifti1Image(CLIP.transpose(2, 1, 0), np.eye(4))
    size = {"micron": 1000.0}.get(units, 1.0)
    image.header.set_zooms((0.25 * size, 0.5 * size, 1.0))
    image.header.set_xyzt_units(units)
    for name in ("patient0001_2CH_half_sequence.nii.gz", "clip.nii"):
        image.to_filename(tmp_path / name)
        array, meta = load(tmp_path / name)
        np.testing.assert_array_equal(array, CLIP.transpose(1, 2, 0))
        assert array.dtype == np.uint8
        assert meta["n_frames"] == 40
        assert meta["spacing"] == pytest.approx([0.5, 0.25])
        assert np.diag(meta["affine"]) == pytest.approx([0.5, 0.25, 1, 1])
        assert "frame_time" not in meta
        np.testing.assert_array_equal(load(tmp_path / name, frames="middle")[0], CLIP[20])


def test_nifti_still_and_clip_with_a_time_axis(tmp_path):
    nib.Nifti1Image(CLIP[0].T, np.eye(4)).to_filename(tmp_path / "still.nii.gz")
    np.testing.assert_array_equal(load(tmp_path / "still.nii.gz")[0], CLIP[0])
    nib.Nifti1Image(CLIP[:1].T, np.eye(4)).to_filename(tmp_path / "still.nii.gz")
    np.testing.assert_array_equal(load(tmp_path / "still.nii.gz")[0], CLIP[0])
    image = nib.Nifti1Image(CLIP.T[:, :, None], np.diag([-1, -1, 1, 1]))
    image.header.set_zooms((0.3, 0.3, 1.0, 0.04))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "clip.nii")
    array, meta = load(tmp_path / "clip.nii")
    np.testing.assert_array_equal(array, CLIP.transpose(1, 2, 0))
    assert meta["frame_time"] == pytest.approx(40.0)
    np.testing.assert_array_equal(load(tmp_path / "clip.nii", frames=-1)[0], CLIP[-1])


def test_nifti_that_is_no_clip(tmp_path):
    for shape in ((8, 8, 4, 5), (8, 8, 1, 1, 3)):
        nib.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)).to_filename(tmp_path / "a.nii")
        with pytest.raises(FileReadError, match=r"a\.nii: has shape .*, expected \(columns, rows\)"):
            load(tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").write_bytes(b"no nifti")
    with pytest.raises(FileReadError, match=r"b\.nii\.gz: .*NIfTI"):
        load(tmp_path / "b.nii.gz")
    nib.Nifti1Image(_RNG.random((64, 64, 9)), np.eye(4)).to_filename(tmp_path / "c.nii.gz")
    content = (tmp_path / "c.nii.gz").read_bytes()
    (tmp_path / "c.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileReadError, match=r"c\.nii\.gz: "):
        load(tmp_path / "c.nii.gz")
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    (tmp_path / "c.nii.gz").write_bytes(changed)
    for frames in ("first", "all"):  # the changed byte is in neither of the first frames
        with pytest.raises(FileReadError, match=r"c\.nii\.gz: "):
            load(tmp_path / "c.nii.gz", frames=frames)
    nib.Nifti1Image(CLIP.T, np.eye(4)).to_filename(tmp_path / "d.nii")
    content = bytearray((tmp_path / "d.nii").read_bytes())
    content[80:84] = struct.pack("<f", np.nan)  # the first of the pixel sizes
    (tmp_path / "d.nii").write_bytes(content)
    with pytest.warns(FileReadWarning, match=r"d\.nii: the pixel size is .*the spacing is unknown"):
        assert "spacing" not in load(tmp_path / "d.nii")[1]
    content[80:84], content[123] = struct.pack("<f", 1), 255
    (tmp_path / "d.nii").write_bytes(content)
    with pytest.warns(FileReadWarning, match=r"d\.nii: the unit 255 is none of NIfTI's"):
        assert "spacing" not in load(tmp_path / "d.nii")[1]


@pytest.mark.parametrize(
    "array",
    [CLIP, CLIP[..., None], np.asfortranarray(CLIP), CLIP.astype(">u2"), np.stack([CLIP] * 3, axis=-1)],
    ids=["frames first", "one channel", "fortran", "big endian", "colours"],
)
def test_npy_clip(tmp_path, array):
    np.save(tmp_path / "clip.npy", array)
    loaded, meta = load(tmp_path / "clip.npy")
    np.testing.assert_array_equal(loaded, CLIP.transpose(1, 2, 0))
    assert meta["n_frames"] == 40
    np.testing.assert_array_equal(load(tmp_path / "clip.npy", frames="middle")[0], CLIP[20])


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((48, 64, 40), r"\(rows, columns, frames\)"),
        ((112, 112, 200), r"\(rows, columns, frames\)"),
        ((112, 112, 112), r"\(rows, columns, frames\)"),
        ((48, 64, 1), r"\(rows, columns, frames\)"),
        ((3, 48, 64), r"\(3, rows, columns\)"),
    ],
)
def test_npy_whose_axes_may_be_two_things_is_refused(tmp_path, shape, other):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(FileReadError, match=rf"a\.npy: has shape .*may be \(frames, rows, columns\) or {other}.*Save"):
        load(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((*shape, 1), np.uint8))  # what the message advises
    assert load(tmp_path / "a.npy")[0].shape == (*shape[1:], shape[0])


def test_npy_with_a_bad_value_in_one_frame(tmp_path):
    clip = CLIP.astype(np.float32)
    clip[7, 0, 0] = np.nan
    np.save(tmp_path / "a.npy", clip)
    assert load(tmp_path / "a.npy", frames="middle")[0].shape == (48, 64)
    with pytest.raises(FileReadError, match=r"a\.npy: has values that are NaN"):
        load(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", ["a.avi", "a.npy", "a.nii", "a.dcm", "a.png"])
def test_the_limit_of_the_decoded_size(tmp_path, write_dicom, kind):
    frames, samples = (1 if kind == "a.png" else 40), (3 if kind == "a.avi" else 1)
    if kind == "a.avi":
        write_video(tmp_path / kind, "MJPG")
    elif kind == "a.npy":
        np.save(tmp_path / kind, CLIP)
    elif kind == "a.nii":
        nib.Nifti1Image(CLIP.T, np.eye(4)).to_filename(tmp_path / kind)
    elif kind == "a.dcm":
        write_dicom(tmp_path / kind, CLIP)
    else:
        Image.fromarray(CLIP[0]).save(tmp_path / kind)
    size = frames * samples * 48 * 64
    assert load(tmp_path / kind, max_bytes=size)[1]["n_frames"] == frames
    with pytest.raises(FileReadError, match=rf"{kind}: takes .* GiB .*{frames} of {frames} frames.*max_bytes"):
        load(tmp_path / kind, max_bytes=size - 1)
    assert load(tmp_path / kind, max_bytes=size // frames, frames="middle")[0].shape == (48, 64)


def test_an_absurd_header_is_refused_before_memory_is_taken(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP, NumberOfFrames=2_000_000_000)
    with pytest.raises(FileReadError, match=r"a\.dcm: .*2000000000 frames"):
        load(path)
    jpeg = write_dicom(tmp_path / "b.dcm", CLIP[:1], jpeg=True).read_bytes()
    size = struct.pack(">HH", *CLIP.shape[1:])  # rows and columns of the JPEG, which are not those of the header
    assert jpeg.count(size) == 1
    (tmp_path / "b.dcm").write_bytes(jpeg.replace(size, struct.pack(">HH", 65000, 65500)))
    with pytest.raises(FileReadError, match=r"b\.dcm: takes 3\.97 GiB when it is decoded \(1 of 1 frames\)"):
        load(tmp_path / "b.dcm", max_bytes=2**30)
    np.save(tmp_path / "a.npy", CLIP)
    content = (tmp_path / "a.npy").read_bytes().replace(b"(40, 48, 64)", b"(9999999999, 48, 64)")
    (tmp_path / "a.npy").write_bytes(content.replace(b" " * 8 + b"\n", b"\n", 1))
    with pytest.raises(FileReadError, match=r"a\.npy: .*cut short"):
        load(tmp_path / "a.npy")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    for name in ("pipe", "pipe.png", "pipe.avi", "pipe.nii.gz"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(FileReadError, match=rf"{name}: is a pipe \(FIFO\), expected a file"):
            load(tmp_path / name)
    with pytest.raises(FileReadError, match="/dev/zero: is a device"):
        load("/dev/zero")
    (tmp_path / "loop.dcm").symlink_to(tmp_path / "loop.dcm")
    with pytest.raises(FileReadError, match=r"loop\.dcm: is a link that leads back to itself"):
        load(tmp_path / "loop.dcm")
    (tmp_path / "nowhere.dcm").symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.dcm: is a link to .*gone, which does not exist"):
        load(tmp_path / "nowhere.dcm")
    (tmp_path / "empty.dcm").touch()
    with pytest.raises(FileReadError, match=r"empty\.dcm: is empty"):
        load(tmp_path / "empty.dcm")


def test_videos_load_like_dicom_clips(tmp_path):
    path = write_video(tmp_path / "clip.avi", "HFYU")
    image = LoadUltrasoundd("image")({"image": path})["image"]
    assert image.shape == (1, 48, 64, 40)
    assert image.meta["n_frames"] == 40
    assert list(image.meta["spatial_shape"]) == [48, 64, 40]
