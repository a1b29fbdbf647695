# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a path can be opened as a file at all: reading from a pipe, for example, would wait for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from monai_debias.data.reading import FileReadError, UnrelatedFileError

__all__ = ["check_regular_file"]

_KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular_file(path: str | os.PathLike[str]) -> None:
    """Refuse anything but a file with something in it; nothing is opened.

    Args:
        path: the file; symbolic links are followed.

    Raises:
        FileNotFoundError: if nothing is there, or a link leads nowhere.
        IsADirectoryError: if it is a folder.
        UnrelatedFileError: if it is a pipe, a socket or a device.
        FileReadError: if it has no bytes, or is a link that leads back to itself.

    Example:
        >>> check_regular_file("/dev/null")
        Traceback (most recent call last):
        monai_debias.data.reading.UnrelatedFileError: /dev/null: is a device, expected a file.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        missing = (
            f"is a link to {os.readlink(path)}, which does not exist" if Path(path).is_symlink() else "no such file"
        )
        raise FileNotFoundError(f"{path}: {missing}.") from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise FileReadError(f"{path}: is a link that leads back to itself.") from error
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{path}: is a directory, expected a file.")
    if not stat.S_ISREG(status.st_mode):
        raise UnrelatedFileError(
            f"{path}: is {_KINDS.get(stat.S_IFMT(status.st_mode), 'no regular file')}, expected a file."
        )
    if status.st_size == 0:
        raise FileReadError(f"{path}: is empty.")
