# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the reader does whatever the format: frames, paths, and one image in several formats."""

from __future__ import annotations

# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from monai_debias.data import ImageFileReader
from monai_debias.data.reader import find_reader
from tests.data.image_files import GREY, load

CLIP = get_testdata_file("examples_ybr_color.dcm")
EXAMPLES = {
    ImageFileReader: [{"frames": 1, "color": color} for color in ("grey", "rgb")],
    ImageFileReader.read: {"data": CLIP},
}


@pytest.mark.filterwarnings("ignore:an ultrasound region reaches")
@pytest.mark.parametrize(("frames", "index"), [("middle", 15), ("first", 0), (7, 7), (-1, 29)])
def test_one_frame_is_that_of_the_clip(frames, index):
    clip, _ = load(CLIP)
    still, meta = load(CLIP, frames=frames)
    np.testing.assert_array_equal(still, clip[..., index])
    assert tuple(meta["spatial_shape"]) == (240, 320)
    assert meta["n_frames"] == 30


def test_clip_of_one_frame_is_a_still(tmp_path, write_dicom):
    array, meta = load(write_dicom(tmp_path / "a.dcm", GREY[None], clip=True))
    assert array.shape == GREY.shape
    assert meta["n_frames"] == 1


@pytest.mark.parametrize("frames", [30, -31])
def test_frame_out_of_range_names_the_number_of_frames(frames):
    with pytest.raises(ValueError, match="there are 30 frames"):
        load(CLIP, frames=frames)


def test_missing_file_directory_and_several_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.dcm: no such file"):
        load(tmp_path / "gone.dcm")
    with pytest.raises(IsADirectoryError, match="expected a file"):
        load(tmp_path)
    with pytest.raises(ValueError, match="expected one file per item, got 2"):
        load([CLIP, CLIP])


def test_png_and_npy_agree_with_dicom(tmp_path, write_dicom):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", GREY)
    write_dicom(tmp_path / "a.dcm", GREY)
    for suffix in ("png", "npy", "dcm"):
        array, meta = load(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(array, GREY)
        assert array.dtype == np.uint8
        assert json.loads(meta["ultrasound_regions"]) == []
        np.testing.assert_array_equal(meta["affine"], np.eye(4))


def test_a_still_has_one_frame(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    assert load(tmp_path / "a.npy", frames="middle")[0].shape == GREY.shape
    with pytest.raises(ValueError, match=r"a\.npy: frame 3 cannot be read: .* there are 1 frames"):
        load(tmp_path / "a.npy", frames=3)


def test_what_is_black_and_white(tmp_path):
    """DICOM and pictures have values from 0 to 255, a NIfTI file may say it, an array cannot."""
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", grey)
    for name, window in (("a.nii", (0, 0)), ("b.nii", (-5, 40))):
        image = nib.Nifti1Image(grey.T, np.eye(4))
        image.header["cal_min"], image.header["cal_max"] = window
        nib.save(image, tmp_path / name)
    reader = ImageFileReader(frames=0)
    files = (CLIP, *(tmp_path / name for name in ("a.png", "b.nii", "a.nii", "a.npy")))
    found = [reader.get_data(reader.read(file))[1].get("display_range") for file in files]
    assert [None if ends is None else ends.tolist() for ends in found] == [[0, 255], [0, 255], [-5, 40], None, None]


def test_a_reader_by_its_name_with_or_without_arguments():
    assert find_reader("monai_debias.data.ImageFileReader").frames == "all"
    reader = find_reader("monai_debias.data.ImageFileReader(frames='middle', max_bytes=100)")
    assert (reader.frames, reader.max_bytes) == ("middle", 100)
    assert find_reader(reader) is reader
    for wrong in (
        "monai.data.Gone",
        "monai.data.Dataset",
        "monai_debias.data.ImageFileReader('middle')",
        "a reader",
        "",
    ):
        with pytest.raises(ValueError, match="expected the dotted name of an image reader"):
            find_reader(wrong)
    for arguments in ("frame=1", "frames='some'"):
        with pytest.raises(ValueError, match=r"ImageFileReader does not take these arguments: .*frame"):
            find_reader(f"monai_debias.data.ImageFileReader({arguments})")
