# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of mending, of other tools, and of the duration of an audit, on a few images."""

from __future__ import annotations

import csv

import pytest
import torch

from benchmarks.audit import duration, mending, rivals
from benchmarks.evidence.testbeds import biased_mnist, chest_xray, echo_demo
from benchmarks.evidence.training import Judge
from tests.audit.test_proposal import marked_items, reads_the_marks


def test_with_region_replaces_all_masks():
    region, samples = (
        torch.zeros(1, 32, 32, dtype=torch.uint8),
        mending.TRIALS["biased_mnist"].load("validation", "same"),
    )
    parts = mending.Parts(biased_mnist.make_network(), biased_mnist.STAGES, 10, samples.items()[:4], 0)
    changed = mending.with_region(region)(parts)
    assert all(sample["mask"] is region for sample in changed.samples)
    assert not torch.equal(parts.samples[0]["mask"], region)


def test_an_audit_says_what_may_be_looked_at():
    trial = mending.TRIALS["biased_mnist"]._replace(load=lambda *_: Marked())
    columns, region = mending.audited(trial, Judge(reads_the_marks), 0)
    assert (columns["alarm"], columns["patch_effect"]) == (1, "1.0000")
    assert float(columns["allowed"]) == pytest.approx(region.float().mean().item(), abs=1e-4)


class Marked:
    """Images with marks, as a testbed has them."""

    image, label = ([item[key] for item in marked_items(240)] for key in ("image", "label"))


@pytest.mark.parametrize("trial", [mending.echo(echo_demo.QUICK), mending.chest(chest_xray.QUICK)])
def test_cohorts_of_files_are_trained_with_a_region_in_place_of_their_masks(trial):
    images = trial.load("validation", "same")
    assert len(trial.patients()) == len(images.label)
    assert len(trial.load("test", "reversed").label)
    everything, corner = (torch.zeros(1, *images.image.shape[2:], dtype=torch.uint8) for _ in range(2))
    everything[:], corner[:, :8, :8] = 1, 1
    weights = [
        torch.cat([one.flatten() for one in trial.train("backmix", region, 0).network.parameters()])
        for region in (everything, corner)
    ]
    assert not torch.allclose(*weights)


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
    duration.main(images=16, size=32, threads=1, steps=1, out=str(file))
    rows = list(csv.DictReader(file.open(newline="")))
    assert {"background", "patch", "global cues", duration.ALL} <= {row["check"] for row in rows}
    assert float(rows[-1]["processor_seconds"]) > 0
