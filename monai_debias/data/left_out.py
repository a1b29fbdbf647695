# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are left out of a job, each with the reason: never silently, and without stopping the job.

Folders hold more than images: reports and presentation states in a study, ``DICOMDIR``, ``Thumbs.db``, a table of
the labels. A job over a folder leaves out these and damaged files, and reports them in its log and ``left_out.csv``.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from monai.utils import OptionalImportError

from monai_debias.data.reading import FileReadError
from monai_debias.files import write_csv

__all__ = [
    "LEFT_OUT_NAME",
    "LeftOut",
    "LeftOutError",
    "check_strict",
    "log_left_out",
    "read_or_leave_out",
    "refuse_left_out",
    "report_left_out",
    "save_left_out",
]

Value = TypeVar("Value")

LEFT_OUT_NAME = "left_out.csv"
_SHOWN = 5
_ABOUT_A_FILE = FileReadError | OptionalImportError | FileNotFoundError | IsADirectoryError | PermissionError


class LeftOut(NamedTuple):
    """A file that is left out.

    Args:
        file: its path.
        kind: ``"unrelated"`` for a file that is something else, ``"unreadable"`` for one that is damaged, empty, of an
            unsupported kind, or not accessible to this user.
        reason: why it is left out.
    """

    file: str
    kind: str
    reason: str

    @classmethod
    def because_of(cls, error: BaseException, file: str | os.PathLike[str]) -> LeftOut | None:
        """Turn an error into the reason for leaving a file out.

        Args:
            error: the error about the file, or one that was raised from it, as MONAI's transforms do.
            file: the file that it is about.

        Returns:
            The left-out file, or None if the error is not about a file that cannot be read.

        Example:
            >>> LeftOut.because_of(FileReadError("a.dcm: is cut short."), "a.dcm").reason
            'is cut short.'
        """
        cause: BaseException | None = error
        while not isinstance(cause, _ABOUT_A_FILE | None):
            cause = cause.__cause__
        if cause is None:
            return None
        kind = cause.kind if isinstance(cause, FileReadError) else FileReadError.kind
        return cls(str(file), kind, str(cause).removeprefix(f"{file}: "))


def read_or_leave_out(read: Callable[[], Value], file: str | os.PathLike[str]) -> Value | LeftOut:
    """Read a file, or say why it cannot be read.

    Args:
        read: a function that reads it.
        file: its path.

    Returns:
        What ``read`` returned, or the reason for leaving the file out. Errors of other kinds are raised.

    Example:
        >>> read_or_leave_out(lambda: open("gone.dcm"), "gone.dcm").kind
        'unreadable'
    """
    try:
        return read()
    except Exception as error:
        left_out = LeftOut.because_of(error, file)
        if left_out is None:
            raise
        return left_out


class LeftOutError(ValueError):
    """Files had to be left out although that was forbidden, or no file was left; the message names the first ones."""


def refuse_left_out(left_out: Sequence[LeftOut], why: str) -> NoReturn:
    """Raise an error that names the files and the reasons.

    Args:
        left_out: the files.
        why: what makes this an error.

    Raises:
        LeftOutError: always.
    """
    raise LeftOutError(f"{why}: {_count(left_out)}\n{_first(left_out)}")


def check_strict(strict: bool, left_out: Sequence[LeftOut]) -> None:
    """Raise an error if files are left out of a strict job.

    Args:
        strict: whether the job is strict.
        left_out: the files.

    Raises:
        LeftOutError: if ``strict`` and there are such files.
    """
    if strict and left_out:
        refuse_left_out(left_out, "strict is True, so that no file may be left out")


def log_left_out(logger: logging.Logger, left_out: Sequence[LeftOut], used: int) -> None:
    """Log how many files are used and left out: as a warning that names the first, if any is left out.

    Args:
        logger: the logger to write to.
        left_out: the files.
        used: number of the others.
    """
    if left_out:
        logger.warning("%d files are used; %s\n%s", used, _count(left_out), _first(left_out))
    else:
        logger.info("%d files are used, none is left out", used)


def save_left_out(path: str | os.PathLike[str], left_out: Sequence[LeftOut]) -> None:
    """Write a CSV file with the columns ``file``, ``kind`` and ``reason``; only the header if nothing is left out.

    Args:
        path: the CSV file.
        left_out: the files.
    """
    write_csv(path, LeftOut._fields, left_out)
    if left_out:
        logging.getLogger(__name__).warning("the files that are left out are listed in %s", path)


def report_left_out(directory: Path, left_out: Sequence[LeftOut], used: int, strict: bool) -> None:
    """Report the files that a data set is built without: in ``left_out.csv`` and in the log.

    Args:
        directory: where ``left_out.csv`` is written.
        left_out: the files.
        used: number of the others.
        strict: whether a file that is left out is an error.

    Raises:
        LeftOutError: if ``strict`` and there are such files; the table is written all the same.
    """
    save_left_out(directory / LEFT_OUT_NAME, left_out)
    log_left_out(logging.getLogger(__name__), left_out, used)
    check_strict(strict, left_out)


def _count(left_out: Sequence[LeftOut]) -> str:
    kinds = Counter(entry.kind for entry in left_out)
    return f"{len(left_out)} left out ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})"


def _first(left_out: Sequence[LeftOut]) -> str:
    lines = [f"  {Path(entry.file)}: {entry.reason}" for entry in left_out[:_SHOWN]]
    return "\n".join([*lines, "  …"] if len(left_out) > _SHOWN else lines)
