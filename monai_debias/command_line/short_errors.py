# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors that the user of a command can correct, as one sentence; a bug always shows its traceback."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from pathlib import Path

from monai.utils import OptionalImportError, instantiate

_PACKAGE = Path(__file__).parents[1]
_MONAI_MAKES = inspect.getfile(instantiate)


def for_the_user(error: BaseException) -> str | None:
    """What an error says if it, or an error that caused it, is one that the user can correct; otherwise nothing."""
    for one in causes(error):
        if _can_be_corrected(one):
            is_of_the_system = isinstance(one, OSError) and one.filename and one.strerror
            return f"{one.filename}: {one.strerror}" if is_of_the_system else str(one)  # type: ignore[attr-defined]
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, the one that it was raised from, and so on to the first."""
    while error is not None:
        yield error
        error = error.__cause__


def _can_be_corrected(error: BaseException) -> bool:
    """Whether an error is about a file, a missing package, or wrong input that this package itself refuses.

    So is an argument in a config that the component does not have, where MONAI makes it. A ValueError or TypeError that
    Python or a library raised inside this package was not foreseen: that is a bug.
    """
    if isinstance(error, OSError | OptionalImportError):
        return True
    steps = traceback.extract_tb(error.__traceback__)
    if isinstance(error, TypeError) and steps and steps[-1].filename == _MONAI_MAKES:
        return "unexpected keyword argument" in str(error)
    if not steps or not isinstance(error, ValueError | TypeError):
        return False
    return Path(steps[-1].filename).is_relative_to(_PACKAGE) and (steps[-1].line or "").startswith("raise ")
