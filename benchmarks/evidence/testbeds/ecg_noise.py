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
from benchmarks.parts import with_flow_mixup
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
_VARIANTS = {
    "flow_mixup_late": ("the last two stages", {"states": slice(2, 4)}),
    "flow_mixup_last": ("the last stage", {"states": slice(3, 4)}),
    "flow_mixup_first": ("the first stage", {"states": slice(1)}),
    "flow_mixup_all": ("all four stages", {"states": slice(4)}),
    "flow_mixup_late_replace": ("the last two stages, mixed rows alone", {"states": slice(2, 4), "flow": "replace"}),
    "flow_mixup_mixed_loss": ("the first two stages, no loss of un-mixed rows", {"weights": (0, 1, 1)}),
    "flow_mixup_late_mixed_loss": (
        "the last two stages, no loss of un-mixed rows",
        {"states": slice(2, 4), "weights": (0, 1, 1)},
    ),
}
METHODS = {
    **chosen(
        ("plain", "mixup", "manifold_mixup", "flow_mixup", "flow_mixup_replace", "spectral_decoupling"),
        {"spectral_decoupling": "λ 0.2, mean over labels"},
    ),
    "label_smoothing": Method("label smoothing", "ε 0.1", (with_label_smoothing(),)),
    "elr": Method("ELR", "the authors' for CIFAR-10: λ 3, β 0.7", (with_early_learning(),)),
    **{
        name: Method("Flow-Mixup", f"alpha 1, {what}", (with_flow_mixup(**options),))
        for name, (what, options) in _VARIANTS.items()
    },
    "flow_mixup_alpha02": Method("Flow-Mixup", "alpha 0.2, the first two stages", (with_flow_mixup(0.2),)),
    "flow_mixup_alpha4": Method("Flow-Mixup", "alpha 4, the first two stages", (with_flow_mixup(4.0),)),
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
    folder = cohort(CHANCE, budget.patients)
    sections = {"training": "training", "validation": "validation", "test": "test_random"}

    def load_section(section: str) -> Labelled:
        records = load(folder, sections[section])
        return Labelled(records.image, records.label)

    def separation(network: nn.Module) -> Row:
        images = load_section("test").image[:CLUSTERED].split(budget.judged)
        found = cluster_separation(network, [{"image": batch} for batch in images], STAGES, len(LABELS))
        return {f"r2_{stage}": r2 for stage, r2 in found.items()}

    return run_with_noise(METHODS[name], seed, strength, budget, load_section, make_parts, mode, separation)


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
