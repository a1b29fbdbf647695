# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The index of the site leads to every page, and every room has its page of the reference."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ROOMS = [path.parent for path in (ROOT / "monai_debias").rglob("__init__.py")]


def test_the_index_leads_to_every_page():
    listed = set(re.findall(r"^(\w+)$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {path.stem for path in DOCS.glob("*.md")} - {"index"}


def test_every_room_with_public_names_has_a_page_of_the_reference():
    public = {room for room in ROOMS if "__all__" in (room / "__init__.py").read_text(encoding="utf-8")}
    names = {".".join(room.relative_to(ROOT).parts) for room in public}
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md")]
    assert {re.search(r"automodule:: (\S+)", page)[1] for page in pages} == names
