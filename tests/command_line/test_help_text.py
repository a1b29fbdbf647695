# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""That the help of every command has every word of its arguments."""

from __future__ import annotations

import inspect
import re

import pytest
from fire.docstrings import parse

from monai_debias.__main__ import COMMANDS
from monai_debias.command_line.help_text import plain_doc, with_plain_help


def functions(commands):
    for command in commands.values():
        yield from functions(command) if isinstance(command, dict) else [command]


@pytest.mark.parametrize("command", [*functions(COMMANDS)], ids=lambda command: command.__name__)
def test_nothing_of_an_argument_is_lost(command):
    shown = parse(with_plain_help(command).__doc__)
    arguments = (inspect.getdoc(command) or "").partition("\nArgs:\n")[2]
    arguments = re.split(r"\n(?=\S)", arguments)[0]
    told = " ".join(f"{argument.name}: {argument.description}" for argument in shown.args or [])
    assert told.split() == plain_doc(f"Args:\n{arguments}").removeprefix("Args:").split()
    assert len(shown.args or []) == len(re.findall(r"^ {4}\S", arguments, flags=re.MULTILINE))


def test_marks_of_the_documentation_are_not_shown():
    assert (
        plain_doc("See :func:`~monai_debias.data.check.check_datalist` and ``None``.") == "See check_datalist and None."
    )


def test_columns_of_a_table_stay_where_they_are():
    rows = ["=====  =====", "name   value", "``a``  ``b`` or c", "=====  ====="]
    assert plain_doc("\n".join(rows)).splitlines()[2] == "a      b or c"


def test_an_argument_becomes_one_line_and_the_next_section_does_not():
    doc = "What.\n\nArgs:\n    bias: one,\n        or {a: 1}.\n    seed: it.\n\nRaises:\n    OSError: a,\n        b."
    assert plain_doc(doc).splitlines()[3:5] == ["    bias: one, or {a: 1}.", "    seed: it."]
    assert plain_doc(doc).endswith("a,\n        b.")
