# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import json

import pytest

from monai_debias.audit.finding import Evidence, Finding, decide, holm

FINDING = Finding("background", "background", "used", "accuracy lost", 0.2, 0.1, 0.3, "accuracy", 0.05, 0.001, 40)


@pytest.mark.parametrize(
    ("change", "verdict", "needed"),
    [
        ({}, "found", None),
        ({"p": 0.02}, "too little data", 52),  # 40 times the square of the normal quantiles 2.3263 / 2.0537
        ({"effect": 0.0, "low": -0.1, "high": 0.1, "p": 0.6}, "too little data", 160),  # twice as narrow
        ({"effect": 0.03, "low": 0.0, "high": 0.06, "p": 1e-9}, "too little data", 90),  # 1.5 times as narrow
        ({"effect": 0.0, "low": 0.0, "high": 0.088, "p": 1.0, "limit_of_none": True}, "too little data", 72),  # of 40
        ({"low": -0.01, "high": 0.04}, "not found", None),
        ({"low": 0.01, "high": 0.04, "p": 1e-9}, "not found", None),  # there is an effect, and it does not matter
        ({"effect": None, "low": None, "high": None, "p": None}, "too little data", None),
        ({"level": "described", "p": None}, "described", None),
    ],
)
def test_verdicts(change, verdict, needed):
    (found,) = decide([dataclasses.replace(FINDING, **change)], alpha=0.01)
    assert (found.verdict, found.patients_needed) == (verdict, needed)


def test_each_level_is_corrected_by_itself():
    findings = [dataclasses.replace(FINDING, p=0.006, level=level) for level in ("used", "used", "encoded")]
    assert [f.adjusted_p for f in decide(findings, alpha=0.01)] == [0.012, 0.012, 0.006]
    assert [f.verdict for f in decide(findings, alpha=0.01)] == ["too little data", "too little data", "found"]


def test_holm_by_hand():
    """4 × 0.01, 3 × 0.02, then 2 × 0.03 and 0.04, which is not below its neighbour."""
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_json_and_back():
    evidence = (Evidence(3, "x", "data:image/png;base64,", "data:image/png;base64,"),)
    finding = dataclasses.replace(FINDING, mends=("backmix",), evidence=evidence, changes=((3, 0.5),), details={"n": 2})
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding
