# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Why Flow-Mixup gains less from wrong labels than Mixup: one change at a time from the one to the other.

On the ECGs of ``ecg_noise``, labels flipped; α is 1 where nothing else is said. Varied are the states that are mixed,
whether mixed rows are appended or replace the others, the weight of the un-mixed rows in the loss, and α. Beside the
accuracy stands how many of the wrong training labels the network of the last epoch has learned by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from benchmarks.evidence.ecg_records import NATURE, STAGES, make_parts
from benchmarks.evidence.label_noise import AXES, SPLITS, Labelled, run_with_noise
from benchmarks.evidence.report import cell
from benchmarks.evidence.testbed import Row, Rows, Testbed, groups
from benchmarks.evidence.testbeds.ecg_noise import QUICK, Budget, load_section, separation
from benchmarks.methods import Method, chosen
from benchmarks.parts import with_flow_mixup
from benchmarks.tables import markdown
from monai_debias.networks import evaluating, layer_outputs

_APPENDED, _ALONE = "un-mixed and mixed rows", "mixed rows alone"
_VARIANTS = {
    "input_append": (f"records, {_APPENDED}", {"states": slice(1)}),
    "input_weighted": (f"records, {_APPENDED}, the former without weight", {"states": slice(1), "weights": (0, 1)}),
    **{
        f"stage{n}": (f"after stage {n}, {_ALONE}", {"states": slice(n, n + 1), "flow": "replace"}) for n in range(1, 5)
    },
    "stage1_append": (f"after stage 1, {_APPENDED}", {"states": slice(1, 2)}),
    "weighted": (f"after stages 1 and 2, {_APPENDED}, the former without weight", {"weights": (0, 1, 1)}),
    "late_append": (f"after stages 3 and 4, {_APPENDED}", {"states": slice(3, 5)}),
    "all_append": (f"after all stages, {_APPENDED}", {"states": slice(1, 5)}),
    "all_replace": (f"records and after all stages, {_ALONE}", {"states": slice(5), "flow": "replace"}),
    "alpha02": (f"after stages 1 and 2, {_APPENDED}, alpha 0.2", {"alpha": 0.2}),
    "alpha4": (f"after stages 1 and 2, {_APPENDED}, alpha 4", {"alpha": 4.0}),
}
METHODS = {
    **chosen(
        ("plain", "mixup", "flow_mixup", "flow_mixup_replace"),
        {"mixup": f"records, {_ALONE}", "flow_mixup": f"after stages 1 and 2, {_APPENDED}"},
    ),
    **{name: Method(f"mixed {what}", "", (with_flow_mixup(**options),)) for name, (what, options) in _VARIANTS.items()},
}


def run(name: str, seed: int, strength: float, budget: Budget) -> Row:
    """Train and evaluate one variant once; the strength is the rate of the label noise, in [0, 0.5)."""

    def look(network: nn.Module, samples: Sequence[dict[str, Any]]) -> Row:
        clean = load_section(budget, "training")
        noisy = torch.stack([torch.as_tensor(sample["label"]) for sample in samples])
        return {
            "by_heart": by_heart(network, clean, noisy, budget.judged),
            **read_out(network, clean, load_section(budget, "test"), budget.judged),
            **separation(network, budget),
        }

    section = partial(load_section, budget)
    return run_with_noise(METHODS[name], seed, strength, budget, section, make_parts, "flip", look)


@torch.no_grad()
def by_heart(network: nn.Module, clean: Labelled, noisy: torch.Tensor, batch: int) -> float:
    """The share of the wrong training labels that the network gives as they are; 0 without a wrong one."""
    wrong = noisy != clean.label
    with evaluating(network):
        given = torch.cat([network(images) > 0 for images in clean.image.split(batch)])
    return float((given == noisy.bool())[wrong].double().mean()) if wrong.any() else 0.0


@torch.no_grad()
def read_out(network: nn.Module, training: Labelled, test: Labelled, batch: int) -> Row:
    """How linear the clean labels are after each stage: macro AUC of a ridge classifier of its outputs.

    Of each channel it is given the mean and the maximum over time.
    """

    def features(images: torch.Tensor) -> dict[str, np.ndarray]:
        kept: dict[str, list[torch.Tensor]] = {stage: [] for stage in STAGES}
        with evaluating(network), layer_outputs(network, STAGES, _over_time) as outputs:
            for one in images.split(batch):
                outputs.clear()
                network(one)
                for stage in STAGES:
                    kept[stage].append(outputs[stage])
        return {stage: torch.cat(parts).numpy() for stage, parts in kept.items()}

    known, asked, row = features(training.image), features(test.image), {}
    for stage in STAGES:
        linear = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0)).fit(known[stage], training.label.numpy())
        row[f"linear_{stage}"] = float(roc_auc_score(test.label.numpy(), linear.decision_function(asked[stage])))
    return row


def _over_time(state: torch.Tensor) -> torch.Tensor:
    return torch.cat([state.mean(-1), state.amax(-1)], 1)


def remarks(rows: Rows) -> str:
    """What is learned by heart, and where labels are linear and hidden states fall into clusters."""
    columns = {"by_heart": "wrong labels learned by heart"}
    columns |= {f"linear_{stage}": f"linear, {stage}" for stage in STAGES}
    columns |= {f"r2_{stage}": f"R², {stage}" for stage in STAGES}
    lines = [
        [f"{float(strength):g}", METHODS[method].title, METHODS[method].settings]
        + [cell(rows, method, strength, column) for column in columns]
        for strength, method in groups(TESTBED, rows)
    ]
    note = (
        "Of the network of the last epoch: the share of the wrong training labels that it gives as they are; "
        "the macro AUC of a linear read-out of the clean labels after each stage; and R² of "
        "k-means there. In percent."
    )
    return f"{note}\n\n{markdown(['noise', 'method', 'settings', *columns.values()], lines, texts=3)}\n\n{NATURE}"


TESTBED = Testbed(
    name="ecg_flow_mixup",
    methods=METHODS,
    main=tuple(METHODS),
    splits=SPLITS,
    axes={**AXES, "by_heart": "wrong labels learned by heart"},
    budget=Budget(),
    quick=QUICK,
    run=run,
    remarks=remarks,
    strengths=(0.4,),
    strength="rate of the label noise",
    measure="%",
)
