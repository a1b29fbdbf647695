# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each block of code in README and guides is picked by a test, which runs it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.guides import ROOT, block
from tests.docs.test_links import PAGES, text


def blocks(page: str) -> list[tuple[str, str]]:
    return re.findall(r"```(python|json|diff)\n(.*?)```", page, re.DOTALL)


def picked(tests: Path) -> Iterator[list[str]]:
    """Language, and content if there is one, of each block that the functions of a file ask for."""
    for node in ast.walk(ast.parse(tests.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "block":
            yield [ast.literal_eval(argument) for argument in node.args[1:]]


def file_about(page: Path) -> Path:
    return ROOT / "tests" / "docs" / f"test_{page.stem.lower()}{'' if page.parent == ROOT else '_guide'}.py"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(text(page))], ids=lambda page: page.name)
def test_each_block_is_picked_by_a_test(page):
    asked = [block(text(page), *words) for words in picked(file_about(page))] if file_about(page).exists() else []
    assert [body for _, body in blocks(text(page)) if body not in asked] == []
