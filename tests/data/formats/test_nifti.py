# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""NIfTI as CAMUS has it: the order of its axes, its units, and its damage."""

from __future__ import annotations

import struct

import nibabel as nib
import numpy as np
import pytest

from monai_debias.data import FileReadError, FileReadWarning
from tests.data.formats.clips import CLIP, RNG
from tests.data.image_files import load


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
    nib.Nifti1Image(RNG.random((64, 64, 9)), np.eye(4)).to_filename(tmp_path / "c.nii.gz")
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
