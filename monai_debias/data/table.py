# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables and lists of a data set in text files; columns may go by several names."""

from __future__ import annotations

import csv
import difflib
import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["read_lines", "read_table"]

Spellings = str | Sequence[str]


def read_table(
    path: str | os.PathLike,
    columns: Mapping[str, Spellings],
    optional: Mapping[str, Spellings] | None = None,
    delimiter: str = ",",
) -> list[dict[str, str]]:
    r"""Read some columns of a table, all as text, so that leading zeros stay.

    Other columns are not looked at; empty ones, as after a trailing comma, do no harm.

    Args:
        path: the file, in UTF-8.
        columns: the name of each column in the result, and its name in the file, or all names that occur in releases of
            the data set.
        optional: the same for columns that a release may lack; their cells are then empty, with a warning.
        delimiter: what is between cells.

    Returns:
        The rows, with spaces around cells removed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not text or has no rows, a column is missing or there twice, or a row has fewer or more
            cells than the first; it names the file, what was found and what was expected.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "films.csv")
        ...     _ = path.write_text("File,Patient Sex,\n0007.png,F,\n")
        ...     read_table(path, {"image": "File", "sex": ("Patient Gender", "Patient Sex")})
        [{'image': '0007.png', 'sex': 'F'}]
    """
    lines = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, quotechar='"')
    try:
        header = [cell.strip() for cell in next(lines, [])]
        place = {name: _find(path, header, spellings) for name, spellings in columns.items()}
        may_lack = {
            name: _find(path, header, spellings, required=False) for name, spellings in (optional or {}).items()
        }
        rows = list(_rows(path, lines, len(header), {**place, **may_lack}))
    except csv.Error as error:
        raise ValueError(f"{path} is not a table ({error}).") from error
    if not rows:
        raise ValueError(f"{path} has no row below the names of its columns.")
    lacking = [name for name, column in may_lack.items() if column is None]
    if lacking:
        warnings.warn(f"{path} has no column for {', '.join(lacking)}: that is not known.", stacklevel=2)
    return rows


def read_lines(path: Path) -> list[str]:
    """The lines of a list, without spaces around them and those that are empty.

    Args:
        path: the file, in UTF-8.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not text, or has no lines.
    """
    lines = [line.strip(" ") for line in _text(path).splitlines()]
    found = [line for line in lines if line.strip()]
    if not found:
        raise ValueError(f"{path} is empty, expected a list.")
    return found


def _text(path: str | os.PathLike) -> str:
    """The content of a file, with its ends of lines as they are."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # Windows editors write a byte order mark
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}).") from error
    if "\0" in text:
        raise ValueError(f"{path} is not text: it has zero bytes, as a damaged file.")
    return text


def _find(path: str | os.PathLike, header: Sequence[str], spellings: Spellings, required: bool = True) -> int | None:
    """The place of a column; where there is none, None, or an error if it is required."""
    names = [spellings] if isinstance(spellings, str) else list(spellings)
    for name in names:
        if header.count(name) > 1 and name:
            raise ValueError(f"{path} has the column {name!r} twice, expected it once.")
        if name in header:
            return header.index(name)
    if not required:
        return None
    cells = {cell.casefold(): cell for cell in header if cell}
    similar = difflib.get_close_matches(names[0].casefold(), cells, n=1, cutoff=0.5)
    hint = f" If {cells[similar[0]]!r} is that column, rename it." if similar else ""
    raise ValueError(
        f"{path} has no column {' or '.join(map(repr, names))}, expected one; its columns are "
        f"{', '.join(cell for cell in header if cell) or 'none'}.{hint}"
    )


def _rows(
    path: str | os.PathLike, lines: Iterator[list[str]], width: int, place: Mapping[str, int | None]
) -> Iterator[dict[str, str]]:
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            raise ValueError(
                f"row {number} of {path} has {len(cells)} cells, but the first row has {width} columns: the file may "
                "be cut short, or have another delimiter."
            )
        yield {name: "" if column is None else cells[column].strip() for name, column in place.items()}
