# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

import pytest

from monai_debias.command_line.linked_pages import copy_with_linked_pages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(name="copied")
def fixture_copied(tmp_path) -> Path:
    """A page that was copied; it lay in the folder bundles/one, and links guides, which link other things."""
    pages = {
        "bundles/one/page.md": "See [the\nguide](../../docs/guide.md#part), [here](beside.txt), [code](../../code.py), "
        "[nothing](../../docs/nothing.md), [out](https://example.org/a.md), [below](#part).",
        "bundles/one/beside.txt": "beside",
        "docs/guide.md": "![a](images/a.png) ![b](../results/b.png) [other](other.md), "
        "[first](../bundles/one/page.md)\n```\n[0](other.md)\n```",
        "docs/other.md": "other",
        "docs/images/a.png": "a",
        "results/b.png": "b",
        "code.py": "code",
    }
    for name, text in pages.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(text)
    (tmp_path / "new").mkdir()
    copy_with_linked_pages(tmp_path / "root/bundles/one/page.md", tmp_path / "new", tmp_path / "root")
    return tmp_path / "new"


def test_links_lead_to_the_copies_and_of_others_the_words_stay(copied):
    assert (copied / "page.md").read_text() == (
        "See [the\nguide](guide.md#part), [here](beside.txt), code, nothing, [out](https://example.org/a.md), "
        "[below](#part)."
    )
    assert (copied / "guide.md").read_text() == (
        "![a](images/a.png) ![b](results/b.png) other, [first](page.md)\n```\n[0](other.md)\n```"
    )


def test_nothing_else_is_copied(copied):
    files = {str(path.relative_to(copied)) for path in copied.rglob("*") if path.is_file()}
    assert files == {"page.md", "beside.txt", "guide.md", "images/a.png", "results/b.png"}


@pytest.mark.parametrize("bundle", sorted(path.parent.parent.name for path in ROOT.glob("bundles/*/docs/README.md")))
def test_no_link_leads_out_of_a_copied_bundle(bundle, tmp_path):
    copy_with_linked_pages(ROOT / "bundles" / bundle / "docs" / "README.md", tmp_path, ROOT)
    for page in tmp_path.glob("*.md"):
        for address in re.findall(r"\]\(([^)#\s]+)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
            assert "://" in address or (page.parent / address).is_file(), (page.name, address)
