# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are complete at any moment: a new one is written beside the old one and then takes its place.

A file that is opened for writing is empty from then on, and complete only when the last byte has reached the disk. A
kill, a full disk or a power cut in between leaves neither the old file nor the new one. Everything that this package
writes in place of an older file goes through :func:`replace_file`.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

if sys.platform != "win32":
    import fcntl

__all__ = ["make_writable", "new_folder", "remove_leftovers", "replace_file", "write_csv", "write_json"]

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.incomplete")


@contextlib.contextmanager
def replace_file(path: str | os.PathLike, mode: str = "w", newline: str | None = None) -> Iterator[IO[Any]]:
    """Open a file that takes the place of ``path`` when the block ends; after an error, the old one stays.

    The new file is written in the same folder under a hidden name that ends in ``.incomplete``, and is on the disk
    before it is renamed. After an error it is removed; what a killed process left is removed by the next call for the
    same path, or by :func:`remove_leftovers`. A symbolic link is followed, and an old file's permissions are kept, as
    when a file is opened for writing.

    Args:
        path: the file to replace or to create; its folder must exist.
        mode: ``"w"`` for text in UTF-8, ``"wb"`` for bytes.
        newline: as in ``open``, for text.

    Yields:
        The open file.

    Raises:
        OSError: when the file cannot be written, such as on a full disk; it names ``path``.
        ValueError: when ``mode`` is another one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "notes.txt")
        ...     _ = path.write_text("old")
        ...     with replace_file(path) as file:
        ...         _ = file.write("new")
        ...         print(path.read_text())
        ...     print(path.read_text())
        old
        new
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode must be 'w' or 'wb', got {mode!r}.")
    target = Path(os.path.realpath(path))
    remove_leftovers(target.parent, target.name)
    temporary = _temporary(target)
    try:
        temporary.touch()
        with _lock(temporary):  # until it has its name, so that nobody takes it for a leftover
            with open(temporary, mode, newline=newline, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    _sync_folder(target.parent)


def write_csv(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table in place of an older one, in UTF-8, with a line feed after each row.

    Args:
        path: the file; see :func:`replace_file`.
        columns: names of the columns, the first row.
        rows: the rows below it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_csv(Path(folder, "table.csv"), ["file", "area"], [["a.dcm", 0.5]])
        ...     print(Path(folder, "table.csv").read_text())
        file,area
        a.dcm,0.5
        <BLANKLINE>
    """
    with replace_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write plain values as JSON in place of an older file.

    Args:
        path: the file; see :func:`replace_file`.
        content: nested dicts, lists, strings, numbers, booleans and None.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(Path(folder, "labels.json"), {"0": "PLAX"})
        ...     json.loads(Path(folder, "labels.json").read_text())
        {'0': 'PLAX'}
    """
    with replace_file(path) as file:
        file.write(json.dumps(content, indent=1) + "\n")


def make_writable(folder: str | os.PathLike) -> None:
    """Make a folder if it is missing, and write to it once: before hours of work whose results it is to hold.

    Args:
        folder: the folder; those above it are made as well.

    Raises:
        OSError: when it cannot be made or written to; it names ``folder``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     make_writable(Path(root, "results"))
        ...     sorted(path.name for path in Path(root).iterdir())
        ['results']
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"{error.strerror}; results cannot be written there", str(folder)) from error


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Create a folder that appears, with all that is in it, when the block ends; after an error there is none.

    Args:
        path: the folder to create, with the folders above it; it must not exist, or be empty.

    Yields:
        The folder to write to until then, beside ``path``; see :func:`replace_file` about its name.

    Raises:
        OSError: when the folder cannot be created, or has come to exist and is not empty.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with new_folder(Path(parent, "cohort")) as folder:
        ...         _ = (folder / "notes.txt").write_text("new")
        ...         print(Path(parent, "cohort").exists())
        ...     print(Path(parent, "cohort", "notes.txt").read_text())
        False
        new
    """
    target = Path(os.path.realpath(path))
    remove_leftovers(target.parent, target.name)
    temporary = _temporary(target)
    temporary.mkdir(parents=True)
    try:
        with _lock(temporary):
            yield temporary
            if target.exists():
                target.rmdir()
            temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    _sync_folder(target.parent)


def remove_leftovers(folder: str | os.PathLike, name: str | None = None) -> list[Path]:
    """Remove the unfinished files and folders of processes that were killed while they wrote.

    Files of a process that is still writing are locked, and are left alone. So is everything on a file system without
    locks, where a dead process cannot be told from a living one.

    Args:
        folder: where to look; not in its sub-folders.
        name: name of what was being written; any by default.

    Returns:
        What was removed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     remove_leftovers(folder)
        []
    """
    removed = []
    for path in Path(folder).glob(".*.incomplete"):
        wanted = _LEFTOVER.fullmatch(path.name) and (name is None or path.name[1:-44] == name)
        if wanted and _remove_unless_locked(path):
            removed.append(path)
    return removed


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.incomplete")


def _remove_unless_locked(path: Path) -> bool:
    try:
        with _lock(path) as locked:
            if locked and path.is_dir():
                shutil.rmtree(path)
            elif locked:
                path.unlink()
            return locked
    except OSError:  # gone meanwhile, another user's, or on Windows open in another process
        return False


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Lock a file or folder; False if another process holds the lock, or locks are not supported.

    Windows needs none, since it does not remove what is open.
    """
    if sys.platform == "win32":
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = True
    except OSError:
        locked = False
    try:
        yield locked
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Flush a renaming to the disk."""
    # some systems and network drives cannot do that with a folder; the file is whole without it, under either name
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
