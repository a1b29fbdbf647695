# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks are found once, kept when they were edited, and the same for any number of processes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from monai_debias.data.found_masks import find_all
from monai_debias.data.found_masks.find_all import find_masks
from monai_debias.data.found_masks.mask_file import read_mask
from tests.data.found_masks.bright_areas import BrightArea, make_pictures


@pytest.fixture
def data(tmp_path):
    return make_pictures(tmp_path / "data")


def find(data, out, level=100, workers=1):
    finder = BrightArea(level, out.with_suffix(".log"))
    rows, left_out = find_masks(sorted((data / "pictures").iterdir()), data, out, finder, workers)
    assert left_out == []
    return {Path(row.image).stem: row for row in rows}, finder


def test_rows_say_what_was_found_those_to_look_at_first(data, tmp_path):
    rows, _ = find(data, tmp_path / "out")
    assert list(rows) == ["3", "0", "1", "2"]
    assert (rows["3"].mask, rows["3"].method, rows["3"].doubts) == (None, "none", "nothing is bright.")
    assert (rows["0"].usable, rows["0"].doubts, rows["0"].area) == (False, "small", pytest.approx(2 * 10 / 600))
    assert rows["2"].usable
    expected = np.zeros((20, 30), bool)
    expected[1:17, 5:15] = True
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "masks" / "pictures" / "2.png.png"), expected)


def test_what_is_there_is_not_looked_for_again_unless_another_finder_wrote_it(data, tmp_path):
    out = tmp_path / "out"
    before, finder = find(data, out)
    (out / "masks" / "pictures" / "1.png.png").unlink()  # as if the first call had been interrupted
    after, _ = find(data, out)
    assert finder.calls() == 4 + 2  # the black picture has no mask that could be kept
    for name, row in before.items():
        assert (row.method, row.confidence, row.doubts, row.usable) == (
            after[name].method,
            after[name].confidence,
            after[name].doubts,
            after[name].usable,
        )
    find(data, out, level=150)
    assert finder.calls() == 6 + 4
    changed = data / "pictures" / "1.png"
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    find(data, out, level=150)
    assert finder.calls() == 10 + 2  # and the black one


def test_a_mask_that_was_edited_is_good_and_never_replaced(data, tmp_path):
    out = tmp_path / "out"
    find(data, out)
    path = out / "masks" / "pictures" / "0.png.png"
    edited = ~read_mask(path)
    with Image.open(path) as picture:
        text = PngInfo()
        for name, value in picture.text.items():  # as an editor that keeps the text of a file
            text.add_text(name, value)
    Image.fromarray(edited.astype(np.uint8) * 255).save(path, pnginfo=text)
    for level in (100, 150):
        rows, _ = find(data, out, level)
        assert (rows["0"].method, rows["0"].usable, rows["0"].confidence) == ("by hand", True, 1.0)
        np.testing.assert_array_equal(read_mask(path), edited)


def test_several_processes_find_the_same(data, tmp_path):
    one, _ = find(data, tmp_path / "one")
    two, _ = find(data, tmp_path / "two", workers=2)
    assert list(one) == list(two)
    for name, row in one.items():
        assert (row.confidence, row.doubts) == (two[name].confidence, two[name].doubts)
        if row.mask is not None:
            assert row.mask.read_bytes() == two[name].mask.read_bytes()


def test_a_file_in_the_place_of_a_mask_that_is_none_is_told_and_stays(data, tmp_path):
    path = tmp_path / "out" / "masks" / "pictures" / "1.png.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"notes")
    rows, _ = find(data, tmp_path / "out")
    assert rows["1"].mask is None
    assert "1.png.png" in rows["1"].doubts
    assert path.read_bytes() == b"notes"


def test_pictures_are_kept_of_those_only_that_are_looked_at_first(data, tmp_path, monkeypatch):
    monkeypatch.setattr(find_all, "SHOWN", 2)
    rows, _ = find(data, tmp_path / "out")
    assert {name: row.picture is not None for name, row in rows.items()} == {
        "3": True,
        "0": True,
        "1": False,
        "2": False,
    }
    assert rows["2"].mask.exists()
