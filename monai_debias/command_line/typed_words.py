# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is typed after ``monai-debias``: mistakes are refused before anything is done.

python-fire runs a command first and complains of the words that are left over afterwards, on many lines.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_OPTION = re.compile(r"--|-[a-zA-Z]")


def command_in(words: Sequence[str], commands: Mapping[str, Any]) -> list[str]:
    """The words that name the command, without its arguments."""
    command: Any = commands
    names: list[str] = []
    for word in words:
        if not isinstance(command, dict) or word not in command:
            break
        command = command[word]
        names.append(word)
    return names


def refuse_mistakes(words: Sequence[str], commands: Mapping[str, Any]) -> None:
    """Refuse words that are no command, unknown options, missing arguments, and arguments too many.

    Raises:
        ValueError: when there is such a mistake; it names what was meant, or what there is.
    """
    names = command_in(words, commands)
    command: Any = functools.reduce(lambda group, name: group[name], names, commands)
    if "--" in words:
        return  # what follows is for python-fire, such as --help
    given = words[len(names) :]
    if isinstance(command, dict):
        if given:
            raise ValueError(f"there is no command {' '.join([*names, given[0]])}; {meant(given[0], command)}")
        return
    parameters = [*inspect.signature(command).parameters.values()]
    options, arguments = sorted_out(given)
    if all(one.kind is not one.VAR_KEYWORD for one in parameters):
        _refuse_unknown(options, [one.name for one in parameters])
    if all(len(option) > 1 for option in options):  # python-fire knows which one a letter stands for
        _refuse_number_of(arguments, [one for one in parameters if one.name not in options], " ".join(names))


def sorted_out(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The options with their values, which may be empty, and the words that are neither an option nor its value."""
    options: dict[str, str] = {}
    arguments: list[str] = []
    takes_value = ""
    for word in words:
        if _OPTION.match(word):
            name, has_value, value = word.lstrip("-").partition("=")
            name = name.replace("-", "_")
            options[name] = value
            takes_value = "" if has_value else name
        else:
            if takes_value:
                options[takes_value] = word
            else:
                arguments.append(word)
            takes_value = ""
    return options, arguments


def meant(word: str, known: Iterable[str], mark: str = "", choices: Iterable[str] | None = None) -> str:
    """What a user may have wanted to type; where no known word is like it, the words to choose from."""
    known = sorted(known)
    if close := difflib.get_close_matches(word, known, n=1):
        return f"did you mean {mark}{close[0]}?"
    return f"choose from {', '.join(mark + one for one in choices or known)}."


def _refuse_unknown(options: Iterable[str], parameters: Sequence[str]) -> None:
    known = ["debug", "help", *parameters, *(f"no{name}" for name in parameters)]
    for name in options:
        if len(name) > 1 and name not in known:
            raise ValueError(f"there is no option --{name}; {meant(name, known, '--', parameters)}")


def _refuse_number_of(arguments: Sequence[str], parameters: Sequence[inspect.Parameter], command: str) -> None:
    by_place = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    if missing := [one.name.upper() for one in by_place[len(arguments) :] if one.default is one.empty]:
        raise ValueError(f"{command} needs {' and '.join(missing)}; see monai-debias {command} --help.")
    takes_more = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    if (surplus := arguments[len(by_place) :]) and not takes_more:
        raise ValueError(f"{command} has no use for {' '.join(surplus)!r}; put a path with spaces in quotes.")
