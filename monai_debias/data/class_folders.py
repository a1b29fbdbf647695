# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The folders of a data set that has one for each class, and the files in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_debias.data.folder_search import FoundFiles, find_files
from monai_debias.data.left_out import LeftOut

__all__ = ["ClassFile", "ClassFolder", "class_order", "files_of", "find_class_folders"]

_SPLIT_FOLDERS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}


class ClassFolder(NamedTuple):
    """The folder of a class; the section is "" if there are no split folders."""

    section: str
    path: Path


class ClassFile(NamedTuple):
    """A file of the data set."""

    section: str
    class_name: str
    path: Path
    below_class: str  # its path below the class folder


def find_class_folders(directory: Path, ignored: Collection[Path] = ()) -> tuple[list[ClassFolder], list[LeftOut]]:
    """Find the folders of the classes: ``directory/CLASS``, or ``directory/SPLIT/CLASS``.

    Args:
        directory: the data-set directory.
        ignored: files and folders in it that belong to no class and are not reported.

    Returns:
        The folders, and the files that are in none of them.

    Raises:
        ValueError: if there are no folders, or both those of splits and others, or two for one split.
    """
    folders, outside = _subfolders(directory, ignored)
    if not folders:
        raise ValueError(f"{directory} has no folders, expected one for each class, or for each split.")
    others = [folder.name for folder in folders if _section(folder) is None]
    if len(others) == len(folders):
        return [ClassFolder("", folder) for folder in folders], outside
    if others:
        raise ValueError(f"{directory} has split folders and others ({', '.join(others[:3])}); use one of the layouts.")
    sections = [_section(folder) or "" for folder in folders]
    if len(set(sections)) < len(sections):
        raise ValueError(f"{directory} has two folders for one split: {', '.join(folder.name for folder in folders)}.")
    found = []
    for split, section in zip(folders, sections, strict=True):
        classes, outside_of_split = _subfolders(split, ignored)
        found += [ClassFolder(section, folder) for folder in classes]
        outside += outside_of_split
    return found, outside


def files_of(
    folder: ClassFolder, find: Callable[[Path], FoundFiles] = find_files
) -> tuple[list[ClassFile], list[LeftOut]]:
    """List the files of a class folder.

    Args:
        folder: the folder.
        find: lists the files below it.

    Returns:
        The files to read, and what is left out without being read.

    Raises:
        FileNotFoundError: if the folder is empty.
    """
    found = find(folder.path)
    files = [
        ClassFile(folder.section, folder.path.name, path, path.relative_to(folder.path).as_posix())
        for path in map(Path, found.files)
    ]
    return files, found.left_out


def class_order(found: set[str], class_names: Sequence[str] | None, directory: Path) -> list[str]:
    """The names of the classes in the order of their labels.

    Args:
        found: names of the folders.
        class_names: the wanted order; None for alphabetical order.
        directory: the data-set directory, for the messages.

    Raises:
        ValueError: if there are fewer than two classes, or other classes than ``class_names``.
    """
    if len(found) < 2:
        raise ValueError(
            f"{directory} has {len(found)} class ({', '.join(found) or 'none'}); a classifier needs two or more."
        )
    if class_names is not None and sorted(class_names) != sorted(found):
        raise ValueError(
            f"class_names are {', '.join(class_names)}, but the folders of {directory} are {', '.join(sorted(found))}."
        )
    return sorted(found) if class_names is None else list(class_names)


def _section(folder: Path) -> str | None:
    """Return the section that a folder of this name stands for, None for a class folder."""
    return folder.name if folder.name.startswith("test_") else _SPLIT_FOLDERS.get(folder.name)


def _subfolders(directory: Path, ignored: Collection[Path]) -> tuple[list[Path], list[LeftOut]]:
    """Return the folders for classes or splits, and the files next to them."""
    entries = [path for path in sorted(directory.iterdir()) if path not in ignored]
    folders = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
    outside = sorted(set(entries) - set(folders))
    return folders, [LeftOut(str(path), "unrelated", "is not in the folder of a class.") for path in outside]
