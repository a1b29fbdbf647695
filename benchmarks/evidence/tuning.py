# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings that no paper gives for a testbed, by in-distribution validation data alone.

    python -m benchmarks.evidence.tuning biased_mnist
    python -m benchmarks.evidence.tuning echo_demo
    python -m benchmarks.evidence.tuning chest_xray

Every candidate is trained once, with a seed that no run of the evidence has, on data whose shortcut is always right;
those of JTT and AFR, which need images that contradict it, where it is right for 98 %, or for 95 % of the radiographs.
A candidate whose line is there is not trained again. No test split is loaded. Accuracy on the validation data says
nothing here, for their shortcut does not lie either; what is compared is accuracy times the consistency under an
exchange of backgrounds, which takes masks, but no image without the shortcut.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import fire
import torch

from benchmarks.csv_file import RESULTS, commit, read
from benchmarks.evidence.processes import record
from benchmarks.evidence.testbed import Row, testbed_of
from benchmarks.evidence.testbeds import TESTBEDS, biased_mnist, chest_xray, echo_demo
from benchmarks.evidence.training import RULES, Training
from benchmarks.parts import Step, with_background_consistency, with_isnet, with_papers_isnet, with_spectral_decoupling
from benchmarks.rivals.afr import with_feature_reweighting
from benchmarks.rivals.jtt import with_second_training
from benchmarks.rivals.right_reasons import with_right_reasons

SEED = 100  # the first of seeds that no run of the evidence has
TUNED = {name: TESTBEDS[name] for name in ("biased_mnist", "echo_demo", "chest_xray")}
PAIRS = ("backmix_isnet", "backmix_spectral_decoupling", "backmix_flow_mixup", "isnet_spectral_decoupling")
# whose heatmap loss does less at the same P: a mean over several maps, or one in every 4th iteration, or no pooling
WEAKER = ("isnet_original", "isnet_dual", "isnet_interval4", "isnet_strided")
_unblended = partial(with_papers_isnet, relevance_weight=0.5, background_scale=0.1)
# what makes the last step of a method of biased_mnist and chest_xray, by its settings
VARIED: dict[str, Callable[..., Step]] = {
    "isnet": with_isnet,
    "isnet_original": partial(_unblended, {"target": "all"}),
    "isnet_stochastic": partial(_unblended, {"target": "stochastic"}),
    "isnet_dual": partial(_unblended, {"target": "dual"}),
    "isnet_interval4": partial(_unblended, {"interval": 4}),
    "isnet_strided": _unblended,
    "rrr": with_right_reasons,
    "jtt": with_second_training,
    "afr": with_feature_reweighting,
    "spectral_decoupling": with_spectral_decoupling,
    "background_consistency": with_background_consistency,
}
REWEIGHTED = ("jtt", "afr")
STRENGTHS = {"biased_mnist": 0.98, "chest_xray": 0.95}  # where these two are trained; of the others 1
CANDIDATE = ("method", "seed", "settings")  # columns that tell a candidate
_Z_SCORE = {"_target_": "NormalizeIntensityd", "keys": "image"}  # instead of images in [0, 1]
# methods, and what is set otherwise in them: arguments of VARIED, or entries of the bundle's config
CANDIDATES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "biased_mnist": [
        *(("isnet", {"background_scale": e, "relevance_weight": p}) for e, p in product((0.1, 1.0), (0.5, 0.7))),
        *(("isnet", {"rank_decay": d}) for d in (0.5, 1.0)),
        *((name, {"relevance_weight": p}) for name, p in product(WEAKER, (0.7, 0.9))),
        *(("rrr", {"weight": weight}) for weight in (0.1, 1.0, 10.0)),
        *(("jtt", {"error_weight": weight}) for weight in (5.0, 20.0, 100.0)),
        *(("afr", {"gamma": gamma, "distance_weight": w}) for gamma, w in product((1.0, 4.0, 16.0), (0.0, 0.1))),
        *(("spectral_decoupling", {"penalty_weight": weight}) for weight in (0.02, 0.2, 2.0)),
        *((pair, {}) for pair in PAIRS),
    ],
    "chest_xray": [
        *((name, {}) for name in ("plain", "backmix", "backmix_isnet")),
        *(("isnet", {"ramp": ramp, "relevance_weight": p}) for ramp, p in product((0.0, 0.5), (0.1, 0.3, 0.5))),
        ("isnet", {"ramp": 0.0, "rank_decay": 0.5}),
        *(("isnet_original", {"relevance_weight": p}) for p in (0.5, 0.7, 0.9)),
        *(("isnet_stochastic", {"relevance_weight": p}) for p in (0.5, 0.7, 0.9)),
        *(("background_consistency", {"weight": weight}) for weight in (1.0, 5.0, 20.0)),
        *(("spectral_decoupling", {"penalty_weight": weight}) for weight in (0.02, 0.2, 2.0)),
        *(("jtt", {"error_weight": e, "first_epochs": n}) for e, n in product((5.0, 20.0, 100.0), (1, 3))),
        *(("afr", {"gamma": gamma, "distance_weight": w}) for gamma, w in product((1.0, 4.0, 16.0), (0.0, 0.1))),
    ],
    "echo_demo": [
        *((name, {"learning_rate": rate}) for name, rate in product(("plain", "backmix", "isnet"), (1e-3, 3e-3))),
        *(
            ("isnet", {"learning_rate": rate, **changes})
            for rate, changes in (
                (1e-2, {}),
                *((3e-3, {"relevance_weight": p}) for p in (0.1, 0.5)),
                (3e-3, {"loss_parts#isnet#background_scale": 1.0}),
                (3e-3, {"loss_parts#isnet#rank_decay": 0.5}),
                (3e-3, {"train#inferer#blend": False}),
                (3e-3, {"train#inferer#target": "stochastic"}),
                (3e-3, {"train#inferer#target": "all"}),
                (3e-3, {"train#inferer#target": "dual"}),
                (3e-3, {"normalize_transforms": [_Z_SCORE], "train#inferer#input_rule": None}),
                (3e-3, {"train#inferer#input_rule": None}),
            )
        ),
    ],
}


def train(testbed: str, name: str, changes: dict[str, Any], seed: int, quick: bool) -> Training:
    """A candidate, by its name in the catalogue and its settings."""
    budget = TUNED[testbed].quick if quick else TUNED[testbed].budget
    if testbed == "echo_demo":
        return echo_demo.train(echo_demo.METHODS[name], seed, 1.0, 1.0, budget, changes)
    steps = TUNED[testbed].methods[name].steps
    if changes:
        steps = (*steps[:-1], VARIED[name](**changes))
    strength = STRENGTHS[testbed] if name in REWEIGHTED else 1.0
    module = {"biased_mnist": biased_mnist, "chest_xray": chest_xray}[testbed]
    return module.train(steps, seed, strength, strength, budget)


def one_run(testbed: str, name: str, changes: dict[str, Any], quick: bool, seed: int = SEED) -> Row:
    """In a process of its own: a line of the results."""
    torch.set_num_threads(1)
    trained = train(testbed, name, changes, seed, quick)
    epoch = trained.take("consistency")
    measured = trained.validation.history[epoch]
    row = {"method": name, "seed": seed, "settings": settings_of(testbed, name, changes)}
    return {**row, "epoch": epoch + 1, **measured, "score": RULES["consistency"](measured)}


def settings_of(testbed: str, name: str, changes: dict[str, Any]) -> str:
    """In the table: what is set otherwise, or whose settings these are."""
    settings = ", ".join(f"{option} {value}" for option, value in changes.items())
    return settings or TUNED[testbed].methods[name].settings


def main(
    testbed: str,
    out: str = str(RESULTS),
    workers: int = 2,
    quick: bool = False,
    seed: int = SEED,
    again: bool = False,
) -> None:
    """Train the candidates that are missing, and keep a line for each.

    Args:
        testbed: biased_mnist, echo_demo or chest_xray.
        out: folder of the table.
        workers: how many runs at a time.
        quick: a smoke test on a few images, whose numbers mean nothing.
        seed: of the training; none that a run of the evidence has.
        again: whether candidates of another commit are missing, too.
    """
    testbed_of(testbed, TUNED)
    file = Path(out).resolve() / f"tuning_{testbed}{'_quick' * quick}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [row for row in read(file) if not again or row["commit"] == commit()]
    done = {(row["method"], int(row["seed"]), row["settings"]) for row in lines}
    missing = [c for c in CANDIDATES[testbed] if (c[0], seed, settings_of(testbed, *c)) not in done]
    record(one_run, [(testbed, *candidate, quick, seed) for candidate in missing], file, workers, CANDIDATE)
    for row in read(file):
        print(f"{row['method']}, {row['settings']}: {100 * float(row['score']):.1f}")


if __name__ == "__main__":
    fire.Fire(main)
