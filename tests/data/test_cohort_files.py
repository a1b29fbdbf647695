# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_debias.data.cohort_files import files_by_name, find_one, list_files


def test_the_first_of_several_layouts(tmp_path):
    (tmp_path / "images").mkdir()
    assert find_one(tmp_path, "train/images", "images") == tmp_path / "images"
    with pytest.raises(FileNotFoundError, match=r"has no masks, expected one; it has images\."):
        find_one(tmp_path, "masks")


def test_files_of_one_kind_however_they_were_copied(tmp_path):
    root, disk = tmp_path / "root", tmp_path / "disk"
    for file in (root / "a" / "1.PNG", root / "2.png", root / "._2.png", root / ".git" / "3.png", disk / "4.Png"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    (root / "b").symlink_to(disk)
    (root / "a" / "up").symlink_to(root)
    assert list_files(root, ".png") == [root / "2.png", root / "a" / "1.PNG", root / "b" / "4.Png"]
    assert files_by_name(root, ".png").keys() == {"1.png", "2.png", "4.png"}
    (root / "a" / "2.PNG").write_text("2.png")
    assert files_by_name(root, ".png")["2.png"] == root / "2.png"  # a copy says the same
    (root / "a" / "2.PNG").write_text("another")
    with pytest.raises(ValueError, match=r"2.png and .*2.PNG have the same name, but not the same content"):
        files_by_name(root, ".png")
