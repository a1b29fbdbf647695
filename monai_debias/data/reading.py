# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors and warnings about files, all of which name the file, and what was being read of it.

Readers of all formats run inside :func:`reading`. Whatever is raised there, by us or by the library that decodes,
reaches the caller as one type, and :func:`warn` knows which file it is about.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike

from monai.utils import OptionalImportError

__all__ = ["FileReadError", "FileReadWarning", "UnrelatedFileError", "reading", "warn"]

# the file that is being read, and what was said about it
_file: ContextVar[tuple[str, set[str]]] = ContextVar("file")


class FileReadError(ValueError):
    """A file cannot be read as what it should be; the message names it, what was being read of it, and why.

    Attributes:
        kind: the kind of the reason in a list of files that are left out.
    """

    kind = "unreadable"


class UnrelatedFileError(FileReadError):
    """A file is not an image, or not of the modality that is asked for: nothing is wrong with it, leave it out."""

    kind = "unrelated"


class FileReadWarning(UserWarning):
    """A file was read, but something in it is missing or contradicts itself; the message names it."""


@contextmanager
def reading(path: str | PathLike[str], what: str) -> Iterator[None]:
    """Name the file and the step in every error and warning of the block.

    Args:
        path: the file.
        what: the part of it that is read in the block, such as ``"the DICOM header"``.

    Raises:
        FileReadError: instead of any other exception, which becomes its cause; even ``MemoryError`` and
            ``RecursionError``, which absurd sizes and nestings lead to.
        OptionalImportError: as it was raised, but with the name of the file.

    Example:
        >>> with reading("a.dcm", "the header"):
        ...     raise KeyError("Rows")
        Traceback (most recent call last):
        monai_debias.data.reading.FileReadError: a.dcm: the header cannot be read: KeyError: 'Rows'.
    """
    token = _file.set((str(path), set()))
    try:
        yield
    except OptionalImportError as error:
        raise OptionalImportError(f"{path}: {error}") from error
    except FileReadError as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:
        raise FileReadError(f"{path}: {what} cannot be read: {_reason(error)}.") from error
    finally:
        _file.reset(token)


def warn(message: str) -> None:
    """Warn about the file that is being read, once for each thing that is wrong with many of its frames.

    Args:
        message: what is wrong with it, and what follows from that.
    """
    path, said = _file.get(("", set()))
    if message not in said:
        said.add(message)
        warnings.warn(f"{path}: {message}" if path else message, FileReadWarning, stacklevel=3)


def _reason(error: Exception) -> str:
    kind, message = type(error).__name__, str(error).rstrip(".")
    if type(error) is ValueError and message:
        return message
    return f"{kind}: {message}" if message else kind
