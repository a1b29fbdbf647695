# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The files in a folder that may be images, and those that need not be opened to know that they are not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_debias.constraints import BOOL, PATH
from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME
from monai_debias.data.formats.regular_file import check_regular_file
from monai_debias.data.left_out import LeftOut, read_or_leave_out
from monai_debias.parameters import expects

__all__ = ["FoundFiles", "candidate", "find_files", "without_repeats"]

_IS_MASK = f"is a mask, as {DATALIST_NAME} says."


class FoundFiles(NamedTuple):
    """What a search found.

    Attributes:
        files: paths of the files to read, in order of their names.
        left_out: what is left out without being read.
    """

    files: list[str]
    left_out: list[LeftOut]


@expects(path=PATH, repeats=BOOL)
def find_files(path: str | Path, repeats: bool = False) -> FoundFiles:
    """List the files at a path: the file itself, or all below a folder.

    Whatever may be an image is listed, without being opened: DICOM files may have any name, so that only the reader can
    recognise them. Hidden files and folders, empty files, pipes, sockets, devices, folders that this user cannot open
    and links that lead nowhere are left out. A link to a folder is followed, unless that folder is searched anyway or
    contains the link. So is a link to a file. Masks that the folder's ``datalist.json`` names are left out as well.

    Args:
        path: a file or a folder.
        repeats: whether a link to a file is listed although that file is listed, too: one mask may serve two images.

    Returns:
        The files, and what is left out.

    Raises:
        FileNotFoundError: when there is nothing at the path, or nothing in the folder.
        FileReadError: when it is a pipe, a socket or a device, or an empty file.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> [Path(file).name for file in find_files(get_testdata_file("examples_ybr_color.dcm")).files]
        ['examples_ybr_color.dcm']
    """
    where = Path(path).expanduser()
    if not where.is_dir():
        check_regular_file(where)
        return FoundFiles([str(where)], [])
    found = list(_search(where, {where.resolve()}))
    if not found:
        raise FileNotFoundError(f"the folder {where} has no files.")
    files = sorted(entry for entry in found if isinstance(entry, Path))
    masks = _named_masks(where)
    images = [file for file in files if os.path.realpath(file) not in masks]
    once, again = (images, []) if repeats else without_repeats(images)
    left_out = [
        *(entry for entry in found if isinstance(entry, LeftOut)),
        *(LeftOut(str(file), "unrelated", _IS_MASK) for file in files if os.path.realpath(file) in masks),
        *again,
    ]
    return FoundFiles([str(file) for file in once], left_out)


def without_repeats(files: Sequence[Path]) -> tuple[list[Path], list[LeftOut]]:
    """Keep one path to each file: the first that is not a link, or else the first.

    Args:
        files: paths, some of which may be links.

    Returns:
        The paths that are kept, in the same order, and the others with the reason.

    Example:
        >>> without_repeats([Path("a.dcm"), Path("b.dcm")])
        ([PosixPath('a.dcm'), PosixPath('b.dcm')], [])
    """
    kept: dict[str, Path] = {}
    real = {file: os.path.realpath(file) for file in files}
    for file in sorted(files, key=os.path.islink):
        kept.setdefault(real[file], file)
    again = [file for file in files if kept[real[file]] != file]
    return (
        [file for file in files if kept[real[file]] == file],
        [LeftOut(str(f), "unrelated", f"is a link to {real[f]}, which is searched anyway.") for f in again],
    )


def candidate(path: Path) -> Path | LeftOut:
    """Tell whether a file may be an image, without opening it.

    Args:
        path: the file.

    Returns:
        The path, or the reason for leaving the file out.

    Example:
        >>> candidate(Path("study/.DS_Store")).reason
        'is hidden, since its name begins with a dot.'
    """
    if path.name.startswith("."):
        return LeftOut(str(path), "unrelated", "is hidden, since its name begins with a dot.")
    unreadable = read_or_leave_out(lambda: check_regular_file(path), path)
    return unreadable or path


def _named_masks(folder: Path) -> set[str]:
    """The masks of the images that a folder's datalist names, links resolved; without such a file there are none."""
    try:
        sections = read_datalist(folder / DATALIST_NAME).values()
    except (FileNotFoundError, ValueError):
        return set()
    listed = [item for section in sections if isinstance(section, list) for item in section if isinstance(item, dict)]
    masks, images = (
        {os.path.realpath(folder / Path(item[key]).expanduser()) for item in listed if isinstance(item.get(key), str)}
        for key in ("mask", "image")
    )
    return masks - images


def _search(folder: Path, roots: set[Path]) -> Iterator[Path | LeftOut]:
    """Search a folder; ``roots`` are the folders, links resolved, below which everything is searched."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield LeftOut(str(folder), "unreadable", f"the folder cannot be opened ({error.strerror}).")
        return
    for entry in entries:
        if entry.name.startswith(".") or not os.path.isdir(entry):  # Path.is_dir fails where this user may not look
            yield candidate(entry)
        elif not entry.is_symlink() or _is_new(entry.resolve(), roots):
            yield from _search(entry, roots)
        else:
            yield LeftOut(str(entry), "unrelated", f"is a link to {entry.resolve()}, which is searched anyway.")


def _is_new(target: Path, roots: set[Path]) -> bool:
    """Tell whether no part of a folder has been searched yet, and if so, count it as searched."""
    if any(target.is_relative_to(root) or root.is_relative_to(target) for root in roots):
        return False
    roots.add(target)
    return True
