# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Wrong labels of ECGs: the demo cohort without a shortcut, eleven labels several at once.

There are two testbeds. In one every label of every record flips with the rate of the noise, so that rare labels become
frequent; in the other that share of the records exchange their labels with others, so that frequencies stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from benchmarks.evidence.ecg_records import CHANCE, NATURE, cohort, load, make_parts
from benchmarks.evidence.label_noise import AXES, SPLITS, STRENGTHS, Labelled, remarks, run_with_noise
from benchmarks.evidence.testbed import Row, Rows, Testbed
from benchmarks.methods import Method, chosen
from benchmarks.parts import with_flow_mixup
from benchmarks.rivals.elr import with_early_learning
from benchmarks.rivals.label_smoothing import with_label_smoothing

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

    return run_with_noise(METHODS[name], seed, strength, budget, load_section, make_parts, mode)


def all_remarks(rows: Rows) -> str:
    """What the noise costs, what helps, and what the data are."""
    return f"{remarks(rows, METHODS)}\n\n{NATURE}"


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
