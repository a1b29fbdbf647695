# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/audit.md, run as it stands there, and its table of checks."""

from __future__ import annotations

import re

from monai_debias.audit import audit, audit_figure
from monai_debias.audit.checks import default_checks
from tests.audit.subjects import looks_at, make_items
from tests.docs.guides import block, read_guide

GUIDE = read_guide("audit")


def test_the_example_finds_the_shortcut(capsys):
    names = {"audit": audit, "audit_figure": audit_figure, "network": looks_at(10, 8), "test_set": make_items(100)}
    exec(compile(block(GUIDE, "python"), "audit.md", "exec"), names)  # noqa: S102
    *findings, code = capsys.readouterr().out.splitlines()
    assert code == "3"
    assert len(findings) == len(names["found"].findings)


def test_the_table_has_all_checks():
    assert set(re.findall(r"^\| `([a-z ]+)` \|", GUIDE, re.MULTILINE)) == {check.name for check in default_checks()}
