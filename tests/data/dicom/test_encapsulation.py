# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames and their fragments in the compressed pixel data."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames

from monai_debias.data.dicom.encapsulation import split_frames
from monai_debias.data.reading import FileReadError, FileReadWarning
from tests.data.image_files import CLIP, change, in_place_of, load, silently


@pytest.mark.parametrize("jpeg", [False, True])
@pytest.mark.parametrize("declared", [None, 0, 1, 2])
def test_more_frames_than_the_header_tells_of_are_all_read(tmp_path, write_dicom, jpeg, declared):
    path = change(write_dicom(tmp_path / "a.dcm", CLIP, jpeg=jpeg), NumberOfFrames=declared)
    said = declared or "missing"
    with pytest.warns(FileReadWarning, match=rf"a\.dcm: the pixel data holds 3 frames, but NumberOfFrames is {said}"):
        array, meta = load(path)
    assert array.shape == (16, 24, 3)
    assert meta["n_frames"] == 3
    truth, _ = silently(change(path, NumberOfFrames=3))
    np.testing.assert_array_equal(array, truth)


@pytest.mark.parametrize("jpeg", [False, True])
def test_fewer_frames_than_the_header_promises_are_an_error(tmp_path, write_dicom, jpeg):
    path = change(write_dicom(tmp_path / "a.dcm", CLIP, jpeg=jpeg), NumberOfFrames=4)
    for frames in ("all", "first"):
        with pytest.raises(FileReadError, match=r"a\.dcm: the pixel data h.* 4 frames.*: the file is cut short, or"):
            load(path, frames=frames)


@pytest.mark.parametrize("text", ["abc", "3\\3", "inf", "3.5", "-3", "1e9"])
def test_number_of_frames_that_is_no_number(tmp_path, write_dicom, text):
    path = write_dicom(tmp_path / "a.dcm", CLIP, NumberOfFrames="1234")
    in_place_of(path, b"IS\x04\x001234", b"IS\x04\x00" + text.ljust(4).encode())
    with pytest.raises(FileReadError, match=r"a\.dcm: (NumberOfFrames|the pixel data has)"):
        load(path)


@pytest.mark.parametrize("table", [[], "right", [0], [0, 0, 0], [0, 10**6, 10**7]], ids=str)
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_frames_are_found_in_their_fragments_with_any_table(tmp_path, write_dicom, table, pieces):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    truth, _ = silently(path)
    ds = pydicom.dcmread(path)
    streams = list(generate_frames(ds.PixelData, number_of_frames=3))
    items = encapsulate(streams, fragments_per_frame=pieces, has_bot=table == "right")
    if table != "right":  # an empty table is an item of 8 bytes
        offsets = np.asarray(table, dtype="<u4").tobytes()
        items = items[:4] + len(offsets).to_bytes(4, "little") + offsets + items[8:]
    ds.PixelData = items
    ds.save_as(path)
    np.testing.assert_array_equal(silently(path)[0], truth)
    np.testing.assert_array_equal(silently(path, frames=1)[0], truth[..., 1])


def test_fragments_that_do_not_tell_where_they_begin_need_the_table():
    frames = [b"no image" * 4, b"nor this" * 6]
    assert split_frames(encapsulate(frames, fragments_per_frame=2), 2) == frames
    assert split_frames(encapsulate(frames, has_bot=False), 2) == frames  # as many fragments as frames
    assert split_frames(encapsulate(frames, has_bot=False), 1) == [b"".join(frames)]
    with pytest.raises(FileReadError, match="points to byte 5, where none begins"):
        split_frames(encapsulate(frames).replace(b"\x28\0\0\0", b"\5\0\0\0"), 2)


def test_compressed_frames_that_are_none(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    change(path, PixelData=encapsulate([b"\1\2\3\4", b"\5\6\7\x08", b"\1\1\1\1"]))
    with pytest.raises(FileReadError, match=r"a\.dcm: frame 0 of 3 is not a JPEG, JPEG 2000 or RLE image"):
        load(path)


def test_pixels_that_are_not_compressed_though_the_header_says_so(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP)
    in_place_of(path, b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    with pytest.raises(FileReadError, match=r"a\.dcm: the compressed pixel data has no item at byte 0"):
        load(path)


def test_pixels_that_are_compressed_though_the_header_does_not_say_so(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", CLIP, jpeg=True)
    in_place_of(path, b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0")
    with pytest.raises(FileReadError, match="the pixel data is compressed, but the transfer syntax is Explicit"):
        load(path)
