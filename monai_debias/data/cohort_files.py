# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of a published data set, which may be unpacked in several ways and copied by several systems."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["files_by_name", "find_one", "list_files"]


def find_one(directory: Path, *names: str) -> Path:
    """Return the first of some files or folders that is there: a data set may be unpacked in several ways.

    Args:
        directory: the data-set directory.
        names: what to look for in it, the usual name first.

    Raises:
        FileNotFoundError: if none of them is there.

    Example:
        >>> find_one(Path("no/such/folder"), "train.csv", "labels/train.csv")
        Traceback (most recent call last):
        FileNotFoundError: no/such/folder has no train.csv (nor labels/train.csv), expected one; it has nothing.
    """
    for name in names:
        if (directory / name).exists():
            return directory / name
    there = sorted(path.name for path in directory.iterdir())[:8] if directory.is_dir() else []
    others = f" (nor {', '.join(names[1:])})" if len(names) > 1 else ""
    raise FileNotFoundError(
        f"{directory} has no {names[0]}{others}, expected one; it has {', '.join(there) or 'nothing'}."
    )


def list_files(directory: Path, suffix: str) -> list[Path]:
    """The files of one kind in a folder and all below it, in the order of their paths.

    Capital letters in the suffix make no difference, links to folders are followed, and hidden files and folders are
    passed over: no data set has any, but copies by macOS (``._film.png``) and notebooks (``.ipynb_checkpoints``) do.

    Args:
        directory: where to look.
        suffix: what the names end with, in small letters, such as ``".png"``.

    Example:
        >>> list_files(Path("no/such/folder"), ".png")
        []
    """
    return sorted(path for path in _walk(directory, set()) if path.name.lower().endswith(suffix))


def files_by_name(directory: Path, suffix: str) -> dict[str, Path]:
    """The files of :func:`list_files` by name, of whichever sub-folder, with the suffix in small letters.

    Args:
        directory: where to look.
        suffix: what the names end with, in small letters, such as ``".png"``.

    Raises:
        ValueError: if two files have one name and not the same content.
    """
    found: dict[str, Path] = {}
    for path in list_files(directory, suffix):
        other = found.setdefault(path.name[: -len(suffix)] + suffix, path)
        if other != path and not filecmp.cmp(other, path, shallow=False):
            raise ValueError(
                f"{other} and {path} have the same name, but not the same content, so that it is open which of them "
                "the data set means: move one of them elsewhere."
            )
    return found


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    """The files of a folder and below; ``seen`` are the folders, links resolved, that are walked already."""
    real = os.path.realpath(folder)
    if real in seen or not folder.is_dir():
        return
    seen.add(real)
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), seen)
        else:
            yield Path(entry.path)
