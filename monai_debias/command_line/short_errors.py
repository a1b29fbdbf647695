# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors that the user of a command can correct, as one sentence; a bug always shows its traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.utils import MONAIEnvVars, OptionalImportError

__all__ = ["shorten_errors_of_bundles"]

_PACKAGE = Path(__file__).parents[1]
_MONAI_COMMAND = "monai.bundle.__main__"


def shorten_errors_of_bundles() -> None:
    """Let ``python -m monai.bundle`` end with one line instead of a traceback where the user can correct the error.

    The bundles call it as the first entry of ``initialize``. It changes nothing in any other program, such as a
    notebook, nor where the environment variable ``MONAI_DEBUG=1`` asks for tracebacks. The exit code stays 1.

    Example:
        >>> shorten_errors_of_bundles()  # of this program, which is not monai.bundle, nothing changes
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or spec.name != _MONAI_COMMAND or MONAIEnvVars.debug():
        return
    others, record = sys.excepthook, logging.getLogRecordFactory()

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if (message := for_the_user(error)) is None:
            others(kind, error, trace)
        else:
            sys.stdout.flush()  # the log comes first
            print(f"error: {message}", file=sys.stderr)

    def without_traceback(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = record(*args, **kwargs)
        if made.exc_info and made.exc_info[1] is not None and for_the_user(made.exc_info[1]) is not None:
            made.exc_info = None
        return made

    sys.excepthook = told
    logging.setLogRecordFactory(without_traceback)


def for_the_user(error: BaseException) -> str | None:
    """What an error says if it, or an error that caused it, is one that the user can correct; otherwise nothing."""
    for one in _causes(error):
        if _can_be_corrected(one):
            is_of_the_system = isinstance(one, OSError) and one.filename and one.strerror
            return f"{one.filename}: {one.strerror}" if is_of_the_system else str(one)  # type: ignore[attr-defined]
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _can_be_corrected(error: BaseException) -> bool:
    """Whether an error is about a file, a missing package, or wrong input that this package itself refuses.

    A ValueError or TypeError that Python or a library raised inside this package was not foreseen: that is a bug.
    """
    if isinstance(error, OSError | OptionalImportError):
        return True
    steps = traceback.extract_tb(error.__traceback__)
    if not steps or not isinstance(error, ValueError | TypeError):
        return False
    return Path(steps[-1].filename).is_relative_to(_PACKAGE) and (steps[-1].line or "").startswith("raise ")
