# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A page that is copied elsewhere, with the pages of the documentation that it links, so that its links hold there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)#\s]*\.\w+)(#[^)\s]*)?\)")
_CODE = re.compile(r"(```.*?```)", re.DOTALL)


def copy_with_linked_pages(page: Path, folder: Path, root: Path) -> None:
    """Copy a page into a folder, and into the same folder the pages of ``root/docs`` that it links, with pictures.

    What these link in turn is not copied. Of a link to something that is not there, only the words stay.

    Args:
        page: the page, in Markdown.
        folder: an existing folder.
        root: the folder that has the sources of the pages below it; what is not below its ``docs`` keeps its path.
    """
    page, root = page.resolve(), root.resolve()
    docs = root / "docs"
    linked = [path for path in _targets(page) if path.is_relative_to(docs) or path.parent == page.parent]
    pictures = [path for one in linked if one.suffix == ".md" for path in _targets(one) if path.suffix == ".png"]
    places = {page: folder / page.name}
    for path in [*linked, *pictures]:
        base = next(base for base in (page.parent, docs, root) if path.is_relative_to(base))
        places[path] = folder / path.relative_to(base)
    for source, target in places.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(_with_moved_links(source, places), encoding="utf-8")
        else:
            shutil.copyfile(source, target)


def _targets(page: Path) -> Iterator[Path]:
    """The files that a page links, as far as they exist."""
    for _, address, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / address).resolve()
        if path.is_file():
            yield path


def _with_moved_links(page: Path, places: dict[Path, Path]) -> str:
    """The text of a page, where each link leads to the new place of its target."""

    def moved(link: re.Match[str]) -> str:
        words, address = link.group(1, 2)
        target = places.get((page.parent / address).resolve())
        if target is None:
            return link[0] if "://" in address else words
        return link[0].replace(f"({address}", f"({os.path.relpath(target, places[page].parent)}")

    parts = _CODE.split(page.read_text(encoding="utf-8"))
    return "".join(part if part.startswith("```") else _LINK.sub(moved, part) for part in parts)
