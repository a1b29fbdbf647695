# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The overlays as files: what they say, and how they get into a bundle."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from monai_debias.overlays import NAMES
from tests.bundles.classifiers import CLASSIFIERS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "monai_debias" / "overlays"
# one of which a training can have
RIVALS = {"mixup", "manifold_mixup", "flow_mixup", "background_consistency"}


def read(name: str) -> dict[str, Any]:
    return json.loads((SOURCES / f"{name}.json").read_text(encoding="utf-8"))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from strings(item)


def sockets() -> set[str]:
    """What the guide tells a bundle to define."""
    guide = (ROOT / "docs" / "overlays.md").read_text(encoding="utf-8")
    table = guide.split("## Sockets")[1]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([\w#]+)`", cell)}


@pytest.mark.parametrize("bundle", CLASSIFIERS)
def test_a_bundle_has_copies_of_the_sources(bundle):
    for name in NAMES:
        assert (CLASSIFIERS[bundle] / f"{name}.json").read_bytes() == (SOURCES / f"{name}.json").read_bytes(), name


@pytest.mark.parametrize("bundle", CLASSIFIERS)
def test_a_bundle_has_all_sockets(bundle):
    config = json.loads((CLASSIFIERS[bundle] / "train.json").read_text(encoding="utf-8"))
    for socket in sockets():
        found = config
        for key in socket.split("#"):
            assert key in found, socket
            found = found[key]


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_speaks_of_sockets_and_its_own_entries_only(name):
    content, known = read(name), sockets()
    own = {key.removeprefix("+") for key in content}
    for key in own - known:
        parent = key.rpartition("#")[0]
        is_option = parent == "" and key.isidentifier()
        assert is_option or parent in known or parent.startswith("validate"), key
    for text in strings(content):
        for reference in re.findall(r"@([\w#]+)", text):
            entry = any(reference == key or reference.startswith(f"{key}#") for key in own | known)
            assert entry, f"{reference} in {text}"
        assert not re.search(r"layer\d|sector|ultrasound|echo", text, re.IGNORECASE), text


def test_overlays_that_share_an_entry_have_the_same_there():
    """So that their order does not matter."""
    for one, other in itertools.combinations(NAMES, 2):
        if not {one, other} <= RIVALS:
            a, b = read(one), read(other)
            assert {key: a[key] for key in a.keys() & b.keys() if not key.startswith("+")} == {
                key: b[key] for key in a.keys() & b.keys() if not key.startswith("+")
            }, (one, other)


def test_the_package_brings_them_along():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["options.package_data"]["monai_debias.overlays"] == "*.json"
