# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import filecmp
import resource
from pathlib import Path

import pytest

from monai_debias.command_line import copy_bundle, list_bundles

ROOT = Path(__file__).resolve().parents[2] / "bundles"
EXAMPLES = {list_bundles: {}, copy_bundle: lambda folder: {"name": "echo_view", "folder": folder / "new"}}


def test_the_list_names_every_bundle():
    names = [line.split()[0] for line in list_bundles().splitlines()[:-2]]
    assert names == sorted(path.name for path in ROOT.iterdir() if (path / "configs").is_dir())


def test_a_copy_is_the_bundle_without_what_a_training_left(tmp_path):
    copy_bundle("echo_view", tmp_path / "mine")
    compared = filecmp.dircmp(ROOT / "echo_view", tmp_path / "mine")
    assert not compared.right_only
    assert not compared.diff_files
    assert {"configs", "docs"} <= set(compared.common_dirs)
    assert (tmp_path / "mine" / "configs" / "train.json").read_bytes() == (
        ROOT / "echo_view" / "configs" / "train.json"
    ).read_bytes()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not an empty directory"):
        copy_bundle("echo_view", tmp_path)
    with pytest.raises(FileExistsError, match="is not an empty directory"):
        copy_bundle("echo_view", tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_unknown_name_is_answered_with_those_that_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"no bundle named 'ecko'; choose from .*echo_view"):
        copy_bundle("ecko", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_copy_for_which_there_is_no_room_is_an_error_that_says_so(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # the weights are larger
    try:
        with pytest.raises(OSError, match=r"new is not complete, remove it: .*File too large.*model\.pt"):
            copy_bundle("echo_view", tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
