# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The overlays as files: what they say, and how they get into a bundle."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from monai_debias.overlays import NAMES, method_name, overlays

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "monai_debias" / "overlays"
BUNDLES = sorted((ROOT / "bundles").iterdir())
MIXUPS = {"mixup", "manifold_mixup", "flow_mixup"}  # one of which a training can have


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


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_a_bundle_has_copies_of_the_sources(bundle):
    for name in NAMES:
        assert (bundle / "configs" / f"{name}.json").read_bytes() == (SOURCES / f"{name}.json").read_bytes(), name


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_a_bundle_has_all_sockets(bundle):
    config = json.loads((bundle / "configs" / "train.json").read_text(encoding="utf-8"))
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
        if not {one, other} <= MIXUPS:
            a, b = read(one), read(other)
            assert {key: a[key] for key in a.keys() & b.keys() if not key.startswith("+")} == {
                key: b[key] for key in a.keys() & b.keys() if not key.startswith("+")
            }, (one, other)


def test_the_package_brings_them_along():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["options.package_data"]["monai_debias.overlays"] == "*.json"


def test_copies_are_made_and_own_files_are_kept(tmp_path):
    with pytest.raises(NotADirectoryError, match=r"configs is not a folder"):
        overlays(tmp_path)
    (tmp_path / "configs").mkdir()
    assert [Path(path).stem for path in overlays(tmp_path)] == list(NAMES)
    overlays(tmp_path)  # they are equal
    own = tmp_path / "configs" / "isnet.json"
    own.write_text("{}")
    (tmp_path / "configs" / "mixup.json").unlink()
    with pytest.raises(FileExistsError, match=r"isnet\.json differ from the overlays .*overwrite=True"):
        overlays(tmp_path, "mixup", "isnet")
    assert own.read_text() == "{}"
    assert not (tmp_path / "configs" / "mixup.json").exists()
    overlays(tmp_path, "mixup")
    overlays(tmp_path, "isnet", overwrite=True)
    assert json.loads(own.read_text()) == read("isnet")
    with pytest.raises(ValueError, match=r"there are no overlays named isnett; choose from backmix, "):
        overlays(tmp_path, "isnett")


def test_the_command(tmp_path):
    (tmp_path / "configs").mkdir()
    command = [sys.executable, "-m", "monai_debias", "overlays", str(tmp_path), "backmix", "isnet"]
    subprocess.run(command, check=True, capture_output=True)
    assert sorted(path.stem for path in (tmp_path / "configs").iterdir()) == ["backmix", "isnet"]


def test_what_a_training_is_called():
    assert method_name({}) == "baseline"
    assert method_name({"isnet": True, "backmix": "black"}) == "backmix_black+isnet"
    for methods, message in (
        ({"isnet_lds": True}, "isnet_lds needs isnet as well, since it adds hidden layers"),
        (
            {"few_masks": True, "mixup": True},
            r"few_masks needs backmix or wbackmix or isnet .* few_masks, mixup",
        ),
        (
            {"isnet": True, "isnet_lds": True, "flow_mixup": True},
            "isnet_lds and flow_mixup cannot be combined: the rows",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            method_name(methods)
