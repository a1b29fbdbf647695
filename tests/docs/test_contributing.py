# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The example of CONTRIBUTING.md has the form of what test files declare."""

from __future__ import annotations

import textwrap
from typing import Any

import torch

from tests.docs.guides import ROOT, block, run_code
from tests.samples import HEATMAP, MASK
from tests.transforms.test_rand_backmix import EXAMPLES

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_what_a_test_file_declares():
    names: dict[str, Any] = {name: type(name, (), {"forward": None}) for name in ("MyTransform", "MyLoss")}
    names |= {"torch": torch, "HEATMAP": HEATMAP, "MASK": MASK, "my_function": print, "my_builder": len}
    run_code(textwrap.dedent(block(GUIDE, "python")), names)
    kinds = {type(value) for value in names["EXAMPLES"].values()}
    assert {type(value) for value in EXAMPLES.values()} <= kinds
