# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib

import pytest

from monai_debias.demo.unfinished import unfinished_folder


def interrupt(path, settings):
    with contextlib.suppress(KeyboardInterrupt), unfinished_folder(path, settings) as folder:
        (folder / "first").touch()
        raise KeyboardInterrupt


def test_other_settings_are_not_mixed(tmp_path):
    interrupt(tmp_path / "films", {"seed": 0, "size": (2, 3)})
    refused = pytest.raises(FileExistsError, match=r"unfinished .*films of other settings, \{'seed': 0\}")
    with refused, unfinished_folder(tmp_path / "films", {"seed": 1, "size": (2, 3)}):
        pass
    with unfinished_folder(tmp_path / "films", {"seed": 0, "size": (2, 3)}) as folder:
        assert (folder / "first").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["films"]
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["first"]


def test_one_process_at_a_time(tmp_path):
    refused = pytest.raises(FileExistsError, match="another process is writing")
    with unfinished_folder(tmp_path / "films", {}), refused, unfinished_folder(tmp_path / "films", {}):
        pass
    assert (tmp_path / "films").is_dir()


def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path):
    (tmp_path / "films").mkdir()
    with unfinished_folder(tmp_path / "films", {}) as folder:
        (folder / "first").touch()
    with pytest.raises(FileExistsError, match="not an empty directory"), unfinished_folder(tmp_path / "films", {}):
        pass
