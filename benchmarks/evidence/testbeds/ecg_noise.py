# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Wrong labels of ECGs: the demo cohort without a shortcut, eleven labels several at once.

There are two testbeds. In one every label of every record flips with the rate of the noise, so that rare labels become
frequent; in the other that share of the records exchange their labels with others, so that frequencies stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from benchmarks.evidence.ecg_records import CHANCE, NATURE, STAGES, cohort, load, make_parts
from benchmarks.evidence.label_noise import AXES, SPLITS, STRENGTHS, Labelled, remarks, run_with_noise
from benchmarks.evidence.testbed import Row, Rows, Testbed, values
from benchmarks.methods import Method, chosen
from benchmarks.rivals.elr import with_early_learning
from benchmarks.rivals.label_smoothing import with_label_smoothing
from benchmarks.tables import markdown, spread
from monai_debias.demo.ecg.findings import LABELS
from monai_debias.metrics import cluster_separation

CLUSTERED = 300  # records, for the clusters of hidden states

MAIN = (
    "plain",
    "mixup",
    "manifold_mixup",
    "flow_mixup",
    "flow_mixup_replace",
    "spectral_decoupling",
    "label_smoothing",
    "elr",
)
METHODS = {
    **chosen(
        ("plain", "mixup", "manifold_mixup", "flow_mixup", "flow_mixup_replace", "spectral_decoupling"),
        {"spectral_decoupling": "λ 0.2, mean over labels"},
    ),
    "label_smoothing": Method("label smoothing", "ε 0.1", (with_label_smoothing(),)),
    "elr": Method("ELR", "the authors' for CIFAR-10: λ 3, β 0.7", (with_early_learning(),)),
}


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    patients: tuple[int, int, int, int] = (500, 200, 300, 300)
    epochs: int = 15
    batch: int = 32
    learning_rate: float = 3e-3
    judged: int = 100  # records at a time


QUICK = Budget(patients=(24, 12, 12, 1), epochs=1, batch=8)


def run(mode: str, name: str, seed: int, strength: float = 0.2, budget: Budget = Budget()) -> Row:
    """Train and evaluate one method once; the strength is the rate of the label noise, in [0, 0.5)."""
    section = partial(load_section, budget)
    return run_with_noise(
        METHODS[name], seed, strength, budget, section, make_parts, mode, lambda network, _: separation(network, budget)
    )


def load_section(budget: Budget, section: str) -> Labelled:
    """The clean records of ``"training"``, ``"validation"`` or ``"test"``."""
    sections = {"training": "training", "validation": "validation", "test": "test_random"}
    records = load(cohort(CHANCE, budget.patients), sections[section])
    return Labelled(records.image, records.label)


def separation(network: nn.Module, budget: Budget) -> Row:
    """R² of the clusters after each stage, as in the analysis of Flow-Mixup's paper."""
    images = load_section(budget, "test").image[:CLUSTERED].split(budget.judged)
    found = cluster_separation(network, [{"image": batch} for batch in images], STAGES, len(LABELS))
    return {f"r2_{stage}": r2 for stage, r2 in found.items()}


def all_remarks(rows: Rows) -> str:
    """What the noise costs, what helps, how sharp the clusters of hidden states are, and what the data are."""
    lines = []
    for strength in sorted({row["strength"] for row in rows}, key=float):
        for method in METHODS:
            found = [values(rows, method, strength, f"r2_{stage}").values() for stage in STAGES]
            if found[0]:
                settings = METHODS[method].settings
                lines.append(
                    [f"{float(strength):g}", METHODS[method].title, settings, *(spread(r2, min) for r2 in found)]
                )
    note = (
        f"The analysis of Flow-Mixup's paper: R² of k-means with {len(LABELS)} clusters after each stage, in percent, "
        f"of {CLUSTERED} test records and the network of the last epoch."
    )
    table = markdown(["noise", "method", "settings", *STAGES], lines, texts=3)
    return f"{remarks(rows, METHODS)}\n\n{note}\n\n{table}\n\n{NATURE}"


TESTBEDS = tuple(
    Testbed(
        name=name,
        methods=METHODS,
        main=MAIN,
        splits=SPLITS,
        axes=AXES,
        budget=Budget(),
        quick=QUICK,
        run=partial(run, mode),
        remarks=all_remarks,
        strengths=STRENGTHS,
        strength="rate of the label noise",
        measure="%",
    )
    for name, mode in (("ecg_noise", "flip"), ("ecg_swapped", "swap"))
)
