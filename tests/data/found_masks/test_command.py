# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From a datalist to a datalist with masks, in another folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from monai_debias.data.found_masks.command import Source, with_masks, write_masks
from tests.data.found_masks.bright_areas import BrightArea, make_pictures


@pytest.fixture
def data(tmp_path):
    return make_pictures(tmp_path / "data")


def write(data, out):
    source = Source(data, out)
    finder = BrightArea(100, data.with_suffix(".log"))
    return source, write_masks(source, out, finder, "picture", "masks", workers=1, progress=False)


def test_paths_lead_from_the_new_folder_and_masks_of_their_own_stay(data, tmp_path):
    own = np.zeros((20, 30), np.uint8)
    own[5:9, 5:9] = 255
    Image.fromarray(own).save(data / "own.png")
    content = json.loads((data / "datalist.json").read_text())
    content["training"][1]["mask"] = "own.png"
    content["training"][2]["image"] = str(data / "pictures" / "2.png")  # absolute
    (data / "datalist.json").write_text(json.dumps(content))
    out = tmp_path / "sub" / "out"
    source, rows = write(data, out)
    assert {row.image for row in rows} == {"pictures/0.png", "pictures/2.png", "pictures/3.png"}
    items = with_masks(source, [row for row in rows if row.usable], out)["training"]
    assert [item["image"] for item in items[:2]] == [f"../../data/pictures/{n}.png" for n in (0, 1)]
    assert items[2]["image"] == str(data / "pictures" / "2.png")
    assert [item.get("mask") for item in items] == [None, "../../data/own.png", "masks/pictures/2.png.png", None]
    assert all((out / item["mask"]).is_file() for item in items[1:3])
    assert json.loads((data / "datalist.json").read_text()) == content


def test_a_folder_without_datalist_is_searched_but_for_what_was_written_there(data):
    (data / "datalist.json").unlink()
    _, first = write(data, data / "out")
    source, second = write(data, data / "out")
    assert source.content is None
    assert [row.image for row in first] == [row.image for row in second]
    assert len(first) == 4
    assert (data / "out" / "contact_sheet_1.png").stat().st_size > 5000
