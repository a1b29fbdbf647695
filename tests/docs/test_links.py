# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Links between the pages lead to files and headings that exist."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("*.md", "docs/*.md", "docs/api/*.md", "bundles/*/docs/*.md", "benchmarks/results/*.md", "tutorials/*.ipynb")
PAGES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
NET = re.compile(r"https?://[^\s)>\"'`\\|}\]]+")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@cache
def text(page: Path) -> str:
    """The Markdown of a page or a notebook."""
    content = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return content
    cells = json.loads(content)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def links(page: Path) -> Iterator[tuple[str, str]]:
    """File, relative to the page and empty for the page itself, and heading of each link to something of ours."""
    for address in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", text(page))):
        if "://" not in address and not address.startswith(("mailto:", "attachment:")):
            file, _, heading = address.partition("#")
            yield file, heading


@cache
def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#{1,6} (.+)$", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.MULTILINE)
    words = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for file, heading in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), file
        assert not heading or target.suffix != ".md" or heading in anchors(target), f"{file}#{heading}"


def addresses() -> set[str]:
    """Those of the net, in pages, docstrings and metadata."""
    others = ("monai_debias/**/*.py", "bundles/*/configs/*.json", "bundles/*/docs/*.txt", "CITATION.cff", "setup.cfg")
    sources = [*PAGES, *(path for pattern in others for path in ROOT.glob(pattern))]
    return {address.rstrip(".,;:") for path in sources for address in NET.findall(path.read_text(encoding="utf-8"))}


def test_addresses_of_the_net_are_whole_and_written_in_one_way():
    """Whether somebody answers there cannot be tested without the net."""
    parts = {address: urlsplit(address) for address in addresses()}
    assert len(parts) > 20
    for address, part in parts.items():
        assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}", part.netloc), address
        assert "//" not in part.path, address
    places = sorted((part.netloc.removeprefix("www."), part.path.rstrip("/").lower()) for part in parts.values())
    assert [place for place, other in itertools.pairwise(places) if place == other] == []


def test_a_broken_link_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c!\n[here](#a-b-c) [gone](gone.md) `[code](no.md)`")
    assert list(links(page)) == [("", "a-b-c"), ("gone.md", "")]
    assert anchors(page) == {"a-b-c"}
