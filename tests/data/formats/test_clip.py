# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Clips of every format: how much memory a decoded one may take."""

from __future__ import annotations

import struct

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_debias.data import FileReadError
from tests.data.formats.clips import CLIP, write_video
from tests.data.image_files import load


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
