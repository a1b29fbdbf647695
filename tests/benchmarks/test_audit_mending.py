# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of mending, of other tools, and of the duration of an audit, on a few images."""

from __future__ import annotations

import csv

import pytest
import torch

from benchmarks.audit import duration, mending, rivals
from tests.audit.test_proposal import marked_items, reads_the_marks


def test_with_region_replaces_all_masks():
    toy = mending.TOYS["biased_mnist"]
    region = torch.zeros(1, 32, 32, dtype=torch.uint8)
    parts = mending.Parts(toy.make(), toy.stages, 10, toy.load("validation", "same").items()[:4], 0)
    changed = mending.with_region(region)(parts)
    assert all(sample["mask"] is region for sample in changed.samples)
    assert not torch.equal(parts.samples[0]["mask"], region)


def test_an_audit_says_what_may_be_looked_at():
    toy = mending.TOYS["biased_mnist"]._replace(load=lambda *_: Marked())
    columns, region = mending.audited(toy, reads_the_marks, 0)
    assert (columns["alarm"], columns["patch_effect"]) == (1, "1.0000")
    assert float(columns["allowed"]) == pytest.approx(region.float().mean().item(), abs=1e-4)


class Marked:
    """Images with marks, as a testbed has them."""

    def items(self):
        return marked_items(240)


def test_the_share_of_the_gain():
    rows = [
        {"testbed": "t", "method": m, "masks": k, "seed": "0", "reversed": r, "alarm": v, "allowed": "0.8"}
        for m, k, r, v in [
            ("plain", "none", "0.1", "1"),
            ("unbiased", "none", "0.95", "0"),
            ("backmix", "true", "0.9", "0"),
            ("backmix", "found", "0.7", "0"),
        ]
    ]
    found = mending.table(rows)
    assert "| t | backmix | 1 | 10.0 | 90.0 | 70.0 | 70.0 | 75% | 80% | 1/1 · 0/1 · 0/1 |" in found


def test_the_table_of_other_tools():
    row = {"testbed": "t", "network": "plain", "reversed": "0.02", "audit": "1", "bnnr": "0", "cleanlab": "0"}
    assert "| t | plain | 2 | 2.0 | 2 | 0 | 1 |" in rivals.table([row, {**row, "cleanlab": "1"}])


def test_the_duration_is_that_of_all_checks(tmp_path):
    file = tmp_path / "duration.csv"
    duration.main(images=16, size=16, threads=1, out=str(file))
    rows = list(csv.DictReader(file.open(newline="")))
    assert {"background", "patch", "global cues", "all, with the images read"} <= {row["check"] for row in rows}
    assert all(float(row["processor_seconds"]) >= 0 for row in rows)
