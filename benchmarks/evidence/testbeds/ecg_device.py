# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Devices that give a label of ECGs away: a calibration pulse before the heart goes with ST depression.

Every record begins with 0.6 s without the heart, in which one device writes a pulse and the other nothing; masks leave
them out. Networks learn all eleven labels. What is measured is the AUC of the label that the device gives away; that of
the others says what a method costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.utils import set_determinism
from torch import nn

from benchmarks.evidence.ecg_records import CHANCE, NATURE, Records, cohort, load, make_parts
from benchmarks.evidence.label_noise import Validation, measure
from benchmarks.evidence.testbed import Row, Rows, Testbed, values
from benchmarks.evidence.training import Judge, Stopwatch, first
from benchmarks.methods import Method, chosen
from benchmarks.parts import with_backmix, with_isnet, with_spectral_decoupling
from benchmarks.tables import interval, paired
from monai_debias.demo.ecg.findings import LABELS

SPLITS = {
    "same": "AUC, device as in training",
    "random": "AUC, random device",
    "external": "AUC, external device",
    "reversed": "AUC, reversed device",
}
AXES = {
    "others": "AUC of the other labels",
    "background_relevance": "background relevance",
    "swap_consistency": "swap consistency",
}
TOLD = LABELS.index("ST depression")
_ISNET = "our defaults; one label drawn for each heatmap"
_isnet = with_isnet(inferer={"target": "stochastic"})
MAIN = (
    "plain",
    "unbiased",
    "backmix",
    "background_blend",
    "background_consistency",
    "isnet",
    "spectral_decoupling",
    "flow_mixup",
    "backmix_isnet",
)
METHODS = {
    **chosen(
        (*MAIN, "mixup", "manifold_mixup", "wbackmix", "masked"),
        {"unbiased": "devices at random; a reference, no method", "flow_mixup": "alpha 1, the first two stages"},
    ),
    "isnet": Method("ISNet, stochastic", _ISNET, (_isnet,)),
    "backmix_isnet": Method("BackMix and ISNet", "as each alone", (with_backmix(), _isnet)),
    "backmix_spectral_decoupling": Method(
        "BackMix and spectral decoupling", "as each alone", (with_backmix(), with_spectral_decoupling())
    ),
}


@dataclass(frozen=True)
class Budget:
    """What every run of the testbed has, whatever its method."""

    patients: tuple[int, int, int, int] = (500, 200, 300, 300)
    epochs: int = 15
    batch: int = 32
    learning_rate: float = 3e-3
    judged: int = 100  # records at a time
    explained: int = 200  # records with a heatmap


QUICK = Budget(patients=(24, 16, 16, 16), epochs=1, batch=8, explained=8)


class Told(NamedTuple):
    """Records with the one label that is judged."""

    image: torch.Tensor
    label: torch.Tensor
    """(N,), int64."""
    mask: torch.Tensor


def one_label(network: nn.Module, label: int = TOLD) -> nn.Sequential:
    """A network whose two logits are those of a softmax that says whether a label is there: ∓ half of its own."""
    halves = nn.Linear(len(LABELS), 2, bias=False)
    with torch.no_grad():
        halves.weight.zero_()
        halves.weight[:, label] = torch.tensor([-0.5, 0.5])
    return nn.Sequential(network, halves)


def run(name: str, seed: int, strength: float = 0.95, budget: Budget = Budget()) -> Row:
    """Train and judge one method once; the strength is the share of records whose device agrees with the label."""
    set_determinism(seed)
    bias = CHANCE if name == "unbiased" else strength
    samples = load(cohort(bias, budget.patients), "training").items()
    parts, stopwatch = make_parts(samples, seed).changed(METHODS[name].steps), Stopwatch()
    folder = cohort(strength, budget.patients)
    image, label, _ = seen(load(folder, "validation"), parts.masked)
    validation = Validation(parts.network, image, label, budget.judged)
    parts.fit(budget.batch, budget.epochs, budget.learning_rate, stopwatch, validation)
    best = int(np.argmax(validation.auc))
    parts.network.load_state_dict(validation.states[best])
    row: dict[str, Any] = {}
    for split in SPLITS:
        image, label, _ = seen(load(folder, f"test_{split}"), parts.masked)
        auc = measure(parts.network, image, label, budget.judged)["auc"]
        row |= {split: float(auc[TOLD]), f"{split}_others": float(np.delete(auc, TOLD).mean())}
    same = load(folder, "test_same")
    told = Told(same.image, same.label[:, TOLD].long(), same.mask)
    judge = Judge(one_label(parts.network), n_swaps=2, batch=budget.judged, masked=parts.masked)
    row |= {"others": row["random_others"], **judge.attention(first(told, budget.explained)), **judge.consistency(told)}
    return {**row, "epoch": best + 1, "validation_auc": validation.auc[best], "seconds": stopwatch.seconds}


def seen(records: Records, masked: bool) -> Records:
    """Records as the network sees them: for one that sees nothing but the heart, 0 elsewhere."""
    return records._replace(image=records.image * records.mask) if masked else records


def remarks(rows: Rows) -> str:
    """Whether the testbed counts, which methods are above the plain network, and what the data are."""
    lines = []
    for strength in sorted({row["strength"] for row in rows}, key=float, reverse=True):
        same, other, clean = (
            values(rows, name, strength, split)
            for name, split in (("plain", "same"), ("plain", "reversed"), ("unbiased", "reversed"))
        )
        if not same:
            continue
        lost = 100 * np.mean([same[seed] - other[seed] for seed in same])
        line = f"- Strength {float(strength):g}: with reversed devices the plain network loses {lost:.1f} points of AUC"
        if clean:
            line += f"; trained without bias it has {100 * np.mean(list(clean.values())):.1f}"
        above = {
            METHODS[method].title: paired(values(rows, method, strength, "reversed"), other)
            for method in METHODS
            if method not in ("plain", "unbiased")
        }
        told = [f"{title} {interval(found)}" for title, found in above.items() if found]
        lines.append(f"{line}. Above plain: {'; '.join(told) or 'not measured'}.")
    note = "Differences are points of AUC, paired by seed, with 95 % intervals that know of no other comparison."
    return "\n".join([note, "", *lines, "", NATURE])


TESTBED = Testbed(
    name="ecg_device",
    methods=METHODS,
    main=MAIN,
    splits=SPLITS,
    axes=AXES,
    budget=Budget(),
    quick=QUICK,
    run=run,
    remarks=remarks,
    strengths=(0.8, 0.95, 1.0),
    strength="share of the training records whose device agrees with the label",
    measure="%",
)
