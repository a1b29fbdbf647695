# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Copies of overlays in a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

import monai_debias.overlays
from monai_debias.overlays import NAMES, overlays
from tests import processes


def make_bundle(folder):
    """A bundle without a config."""
    (folder / "configs").mkdir(parents=True)
    return {"bundle": folder, "overwrite": True}


EXAMPLES = {overlays: make_bundle}


def test_copies_are_made_and_own_files_are_kept(tmp_path):
    with pytest.raises(NotADirectoryError, match=r"configs is not a folder"):
        overlays(tmp_path)
    (tmp_path / "configs").mkdir()
    assert [Path(path).stem for path in overlays(tmp_path)] == list(NAMES)
    overlays(tmp_path)  # they are equal
    own = tmp_path / "configs" / "isnet.json"
    own.write_text("{}")
    (tmp_path / "configs" / "mixup.json").unlink()
    with pytest.raises(FileExistsError, match=r"isnet\.json differ from the overlays .*overwrite=True"):
        overlays(tmp_path, "mixup", "isnet")
    assert own.read_text() == "{}"
    assert not (tmp_path / "configs" / "mixup.json").exists()
    overlays(tmp_path, "mixup")
    overlays(tmp_path, "isnet", overwrite=True)
    assert own.read_bytes() == Path(monai_debias.overlays.__file__).with_name("isnet.json").read_bytes()
    with pytest.raises(ValueError, match=r"there are no overlays named isnett; choose from background_blend, "):
        overlays(tmp_path, "isnett")


def test_the_command(tmp_path):
    (tmp_path / "configs").mkdir()
    command = ["monai_debias", "overlays", tmp_path, "backmix", "isnet"]
    assert processes.run(command, tmp_path, tmp_path / "log.txt") == 0, (tmp_path / "log.txt").read_text()
    assert sorted(path.stem for path in (tmp_path / "configs").iterdir()) == ["backmix", "isnet"]
