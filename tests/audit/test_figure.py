# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from functools import cache

import pytest

from monai_debias.audit import audit, audit_figure
from monai_debias.audit.run import Audit
from tests.audit.subjects import LooksAt, make_items


@cache
def audited() -> Audit:
    return audit(LooksAt(), make_items(160), attributes=["scanner"])


EXAMPLES = {audit_figure: lambda folder: {"audit": audited(), "n_images": 1}}


@pytest.fixture(scope="module", name="found")
def fixture_found() -> Audit:
    return audited()


def test_a_dot_for_each_claim_and_two_pictures_for_each_image(found):
    claims = [one for one in found.findings if one.level != "described" and one.effect is not None]
    findings, *pictures = audit_figure(found, n_images=2).axes
    assert len(findings.get_yticklabels()) == len(claims)
    assert any("The network uses the" in label.get_text() for label in findings.get_yticklabels())
    assert len(pictures) == 4
    assert "→" in pictures[2].get_xlabel()
    assert pictures[0].get_title()
    dots = [line for line in findings.lines if line.get_marker() == "o"]
    drawn = sorted(float(line.get_xdata()[0]) for line in dots)
    assert drawn == pytest.approx(sorted(one.effect / one.delta for one in claims))
    to_axes = findings.transData + findings.transAxes.inverted()
    places = [to_axes.transform((x, 0))[0] for x in drawn]
    assert min(places) > 0.02
    assert max(places) < 0.98  # no dot is cut by the edge


def test_without_images_only_the_findings(found):
    assert len(audit_figure(found, n_images=0).axes) == 1


def test_an_audit_without_claims_has_no_figure(found):
    described = tuple(one for one in found.findings if one.level == "described")
    with pytest.raises(ValueError, match="no finding of this audit makes a claim"):
        audit_figure(dataclasses.replace(found, findings=described))
