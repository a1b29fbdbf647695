# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``--help`` shows: the docstring of a command without the marks that only its page of documentation needs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_SECTION = re.compile(r"(Args|Returns|Raises|Example|Examples|Yields):$")


def with_plain_help(command: Any) -> Any:
    """The same command, or dictionary of commands, with a docstring that python-fire shows completely.

    Fire drops what follows a colon in the second and further lines of an argument, so each argument becomes one line.
    """
    if isinstance(command, dict):
        return {name: with_plain_help(one) for name, one in command.items()}
    return _with_doc(command, plain_doc(inspect.getdoc(command) or ""))


def plain_doc(doc: str) -> str:
    """A docstring without roles and literals of reStructuredText, and with each argument on one line."""
    lines: list[str] = []
    in_arguments = False
    for line in _ROLE.sub(r"\1", doc).replace("``", "").splitlines():
        if found := _SECTION.match(line):
            in_arguments = found[1] == "Args"
        if in_arguments and line.startswith(" " * 8):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)


def _with_doc(command: Callable[..., Any], doc: str) -> Callable[..., Any]:
    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **kwargs)

    run.__doc__ = doc
    return run
