# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from monai_debias.data import FileReadError
from tests.data.image_files import load


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
