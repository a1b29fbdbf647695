# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from monai_debias.data.table import find_one, read_table


def write(folder, text: str | bytes):
    path = folder / "films.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_cells_are_text_and_columns_go_by_several_names(tmp_path):
    path = write(tmp_path, '\ufeffFile , Sex,"Notes, of a doctor"\r\n0007.png, F ,"two\nlines, one row"\r\n\r\n')
    rows = read_table(path, {"image": "File", "sex": ("Gender", "Sex"), "notes": "Notes, of a doctor"}, {"age": "Age"})
    assert rows == [{"image": "0007.png", "sex": "F", "notes": "two\nlines, one row", "age": ""}]
    assert read_table(write(tmp_path, "a;b\n1;2\n"), {"b": "b"}, delimiter=";") == [{"b": "2"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'File' or 'Image', expected one; its columns are none."),
        ("Files,Sex\n", "has no column 'File' or 'Image', expected one; its columns are Files, Sex. If 'Files' is"),
        ("File,Sex\na.png\n", "row 2 of films.csv has 1 cells, but the first row has 2 columns"),
        ("File\na.png,F\n", "row 2 of films.csv has 2 cells, but the first row has 1 columns"),
        (b"File\n\xff.png\n", "is not a table in UTF-8 text"),
        ("File\na\0.png\n" * 2 + '"' + "x" * 200_000 + '"', "is not a table in UTF-8 text"),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(said).replace("films", ".*films")):
        read_table(path, {"image": ("File", "Image")})


def test_the_first_of_several_layouts(tmp_path):
    (tmp_path / "images").mkdir()
    assert find_one(tmp_path, "train/images", "images") == tmp_path / "images"
    with pytest.raises(FileNotFoundError, match=r"has no masks, expected one; it has images\."):
        find_one(tmp_path, "masks")
