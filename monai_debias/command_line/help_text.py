# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``--help`` shows: the docstring of a command without the marks that only its page of documentation needs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_CELL = re.compile(r"``([^`]+)``(?=  )")  # in a table, whose columns stay where they are
_SECTION = re.compile(r"(Args|Returns|Raises|Example|Examples|Yields):$")


def with_plain_help(command: Any, examples: Mapping[str, Sequence[str]] | None = None, name: str = "") -> Any:
    """The same command, or dictionary of commands, with a docstring that python-fire shows completely.

    Fire drops what follows a colon in the second and further lines of an argument, so each argument becomes one line.
    The examples of its name stand before the arguments.
    """
    examples = examples or {}
    if isinstance(command, dict):
        return {part: with_plain_help(one, examples, f"{name} {part}".strip()) for part, one in command.items()}
    description, arguments, rest = plain_doc(inspect.getdoc(command) or "").partition("\nArgs:\n")
    if name in examples:
        description += "\n".join(["", "For example:", "", *(f"    {line}" for line in examples[name]), ""])
    return _with_doc(command, description + arguments + rest)


def plain_doc(doc: str) -> str:
    """A docstring without roles and literals of reStructuredText, and with each argument on one line."""
    lines: list[str] = []
    in_arguments = False
    doc = _CELL.sub(r"\1    ", _ROLE.sub(r"\1", doc))
    for line in doc.replace("``", "").splitlines():
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
    run.__signature__ = _with_plain_types(inspect.signature(command))  # type: ignore[attr-defined]
    return run


def _with_plain_types(signature: inspect.Signature) -> inspect.Signature:
    """Fire shows the name of a class as it is, and other annotations, such as texts, as Python would write them."""
    shown = {name: str(one.annotation).removesuffix(" | None") for name, one in signature.parameters.items()}
    return signature.replace(
        parameters=[one.replace(annotation=type(shown[name], (), {})) for name, one in signature.parameters.items()]
    )
