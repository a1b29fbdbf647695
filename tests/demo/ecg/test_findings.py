# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is drawn, and which labels follow."""

from __future__ import annotations

import numpy as np

from monai_debias.demo.ecg.findings import LABELS, Findings, draw_findings


def names(findings):
    return {name for name, true in zip(LABELS, findings.labels, strict=True) if true}


def test_labels_say_what_is_found():
    assert names(Findings()) == {"normal"}
    found = Findings("tachycardia", "right bundle branch block", "ST depression", premature=True, first_degree=True)
    assert names(found) == {
        "tachycardia",
        "right bundle branch block",
        "ST depression",
        "premature ventricular beats",
        "first-degree block",
    }


def test_every_label_occurs_often_enough_and_none_contradicts_another():
    rng = np.random.default_rng(0)
    drawn = [draw_findings(rng) for _ in range(3000)]
    labels = np.array([findings.labels for findings in drawn])
    assert (labels.mean(0) > 0.07).all()
    assert (labels.mean(0) < 0.3).all()
    assert (labels.sum(1) > 1).mean() > 0.25  # several at once
    shown = [names(findings) for findings in drawn]
    assert not any({"first-degree block", "atrial fibrillation"} <= found for found in shown)
    assert not any("left bundle branch block" in found and any("ST" in name for name in found) for found in shown)
