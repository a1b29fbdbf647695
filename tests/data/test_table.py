# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from monai_debias.data.table import read_lines, read_table


def write(folder, text: str | bytes):
    path = folder / "films.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_cells_are_text_and_columns_go_by_several_names(tmp_path):
    path = write(tmp_path, '\ufeffFile , Sex,"Notes, of a doctor"\r\n0007.png, F ,"two\nlines, one row"\r\n\r\n')
    with pytest.warns(UserWarning, match=r"films\.csv has no column for age"):
        rows = read_table(
            path, {"image": "File", "sex": ("Gender", "Sex"), "notes": "Notes, of a doctor"}, {"age": "Age"}
        )
    assert rows == [{"image": "0007.png", "sex": "F", "notes": "two\nlines, one row", "age": ""}]
    assert read_table(write(tmp_path, "a;b\n1;2\n"), {"b": "b"}, delimiter=";") == [{"b": "2"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'File' or 'Image', expected one; its columns are none."),
        ("Files,Sex\n", "has no column 'File' or 'Image', expected one; its columns are Files, Sex. If 'Files' is"),
        ("File,Sex\na.png\n", "row 2 of films.csv has 1 cells, but the first row has 2 columns"),
        ("File\na.png,F\n", "row 2 of films.csv has 2 cells, but the first row has 1 columns"),
        ("file\na.png\n", "has no column 'File' or 'Image', expected one; its columns are file. If 'file' is"),
        ("Image,Sex,Image\na.png,F,b.png\n", "films.csv has the column 'Image' twice"),
        ("File,Sex\n\n", "films.csv has no row below the names of its columns"),
        (b"File\n\xff.png\n", "is not text in UTF-8"),
        ("File\na.png\n".encode("utf-16"), "is not text in UTF-8"),
        ("File\na\0.png\n", "is not text: it has zero bytes"),
        ("File\n" + '"' + "x" * 200_000 + '"', "is not a table"),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(said).replace("films", ".*films")):
        read_table(path, {"image": ("File", "Image")})


def test_a_list(tmp_path):
    assert read_lines(write(tmp_path, "\ufeffa.png \r\n\r\nb\t\t\r\n")) == ["a.png", "b\t\t"]
    for text, said in (("\n \n", "films.csv is empty, expected a list"), (b"\xff", "is not text in UTF-8")):
        with pytest.raises(ValueError, match=said):
            read_lines(write(tmp_path, text))
