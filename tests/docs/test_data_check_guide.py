# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The example of docs/data_check.md, run as it stands there."""

from __future__ import annotations

import json

import numpy as np

from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("data_check")


def test_the_survey_has_what_is_said(tmp_path, monkeypatch):
    """The hospital names the label, and so does the brightness."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DATASET").mkdir()
    items = []
    for n in range(24):
        np.save(f"DATASET/{n}.npy", np.random.default_rng(n).integers(0, 100 + 100 * (n % 2), (16, 16), np.uint8))
        items.append({"image": f"{n}.npy", "label": n % 2, "patient_id": f"p{n}", "hospital": "AB"[n % 2]})
    (tmp_path / "DATASET" / "datalist.json").write_text(
        json.dumps({"labels": {"0": "no", "1": "yes"}, "training": items})
    )
    scope: dict = {}
    run_code(block(GUIDE, "python"), scope)
    (hospital,) = scope["survey"].attributes
    assert (hospital.name, round(hospital.effect, 2)) == ("hospital", 1.0)
    for found in (hospital, *scope["survey"].properties):
        assert found.low <= found.effect <= found.high
        assert 0 < found.p <= found.adjusted_p <= 1
