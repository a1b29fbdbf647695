# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_debias.overlays.guest.config_graph import ConfigGraph


@pytest.mark.parametrize(
    ("written", "places"),
    [
        ("$@a + @b", ["a#0", "a#1", "b#0"]),
        ("$list(@b) + [@c, @a#1]", ["b#0", "c", "a#1"]),
        ("$(@a + @b)[1:]", ["a#1", "b#0"]),
        ("$@compose.transforms[:1]", ["a#0"]),
        ("@compose", ["a#0", "a#1"]),
        ("%b", ["x#0"]),
        (["@c", "@compose"], ["c", "a#0", "a#1"]),
    ],
)
def test_the_elements_of_a_list(written, places):
    compose = {"_target_": "monai.transforms.Compose", "transforms": "@a"}
    graph = ConfigGraph({"a": [{}, {}], "b": [{}], "c": {}, "compose": compose, "x": written})
    assert graph.elements("x") == places


def test_what_python_makes_cannot_be_read():
    with pytest.raises(ValueError, match=r"elements of 'x' cannot be read from '\$make\(@a\)': expected a list"):
        ConfigGraph({"a": [], "x": "$make(@a)"}).elements("x")
    with pytest.raises(ValueError, match=r"elements of 'x' cannot be read from '\$@a \+ \[make\(\)\]'"):
        ConfigGraph({"a": [], "x": "$@a + [make()]"}).elements("x")
    with pytest.raises(ValueError, match="refers to itself"):
        ConfigGraph({"a": "@b", "b": "@a"}).follow("a")
