# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The page of an audit as a parser and as a browser see it."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from monai_debias.audit import audit
from monai_debias.audit.checks import AttributeUsed, BackgroundUsed, PatchUsed
from monai_debias.audit.page import page
from tests.audit.subjects import looks_at, make_items

VOID = {"meta", "img", "rect", "line", "circle", "br", "hr"}  # never closed, or closed at once
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Strict(HTMLParser):
    """Refuses what a browser would repair, and keeps headings and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


@pytest.fixture(scope="module", name="html")
def fixture_html():
    items = [{**item, "scanner": f"<b>{item['scanner']} & 'co'"} for item in make_items(120)]
    checks = [AttributeUsed(), BackgroundUsed(), PatchUsed(n_proposing=300)]
    return page(audit(looks_at(10, 8), items, attributes=["scanner"], checks=checks), "a <network> & 'its' \"name\"")


def test_a_strict_parser_accepts_it_and_no_name_gets_out_of_its_place(html):
    parser = Strict()
    parser.feed(html)
    assert parser.open == []
    assert any("uses a shortcut" in text for text in parser.headings)
    assert all(address.startswith("data:image/png;base64,") for address in parser.addresses)
    assert "<network>" not in html
    assert "<b>A" not in html


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [1280, 500])  # a laptop, and the least that headless Chromium gives, about a phone
def test_a_browser_shows_it_in_the_width_that_there_is(html, tmp_path, width):
    file, picture = tmp_path / "audit.html", tmp_path / "seen.png"
    script = (
        "<script>addEventListener('load', () => { document.title = 'wide ' + document.documentElement.scrollWidth })"
    )
    file.write_text(html.replace("</body>", f"{script}</script></body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--hide-scrollbars"]
    command = [BROWSER, *options, f"--window-size={width},2000"]
    dom = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=120).stdout
    assert f"<title>wide {width}</title>" in dom  # nothing reaches over the edge
    subprocess.run([*command, f"--screenshot={picture}", file.as_uri()], capture_output=True, timeout=120)
    seen = np.asarray(Image.open(picture).convert("L"))
    assert seen.shape[1] == width
    assert (seen[:300] < 128).any()  # there is dark text on the first screen
    assert np.unique(seen).size > 20
