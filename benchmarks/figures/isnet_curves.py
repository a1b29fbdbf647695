# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the training of an ISNet: its losses, relevance and gradients in every iteration, on biased MNIST.

    python -m benchmarks.figures.isnet_curves                                         # two minutes for each method
    python -m benchmarks.figures.isnet_curves --methods plain,isnet,isnet_paper --seed 1 --out curves

Trains methods of the testbed biased_mnist of the evidence, with its network, data and settings, and draws a figure.
Each trained network is saved in the same folder. No test data are loaded.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure

from benchmarks.evidence.testbeds import biased_mnist
from benchmarks.evidence.training import Training
from benchmarks.methods import METHODS, named
from monai_debias.attached import attached

PANELS = {
    "classification": "classification loss",
    "background": "background loss",
    "foreground": "foreground loss",
    "foreground_relevance": "relevance inside the mask",
    "gradient_norm": "gradient norm, clipped at 100 with a heatmap",
}
VALIDATION = {
    "background_relevance": "background relevance (validation)",
    "swap_consistency": "swap consistency (validation)",
    "accuracy": "accuracy (validation)",
}
LOGARITHMIC = ("classification", "background", "foreground", "gradient_norm")
SMOOTH = 25  # iterations in each point of a line


class Curves:
    """Keeps the terms of the loss, what relevance there is in the region, and the gradients, of every iteration."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {name: [] for name in PANELS}

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._record)

    def _record(self, engine: Any) -> None:
        terms = getattr(engine.loss_function, "terms", {"classification": engine.state.output["loss"].detach()})
        gradients = [p.grad for p in engine.network.parameters() if p.grad is not None]
        now = {**terms, "gradient_norm": torch.nn.utils.get_total_norm(gradients)}
        heatmap, label = attached(engine.state.output["pred"], "heatmap"), engine.state.output["label"]
        if heatmap is not None:
            mask = attached(label, "mask")[attached(label, "has_mask")].unsqueeze(1)
            now["foreground_relevance"] = (heatmap.detach().abs() * mask).flatten(2).sum(2).mean()
        for name, values in self.values.items():
            values.append(float(now.get(name, np.nan)))  # an iteration without a heatmap has no background


def draw(found: dict[str, tuple[Curves, Training]]) -> Figure:
    """A panel for each of the values; a point is the mean of some iterations, or of the validation after an epoch."""
    figure = Figure(figsize=(14, 6.5), layout="constrained")
    panels = dict(zip(chain(PANELS, VALIDATION), figure.subplots(2, 4).flat, strict=True))
    for name, (curves, training) in found.items():
        title = biased_mnist.TESTBED.title(name).replace("`", "")  # the name is marked up for pages
        for key, values in curves.values.items():
            width = min(SMOOTH, len(values))
            blocks = np.array(values)[: len(values) // width * width].reshape(-1, width)
            known = ~np.isnan(blocks).all(1)
            at = (np.flatnonzero(known) + 0.5) * width
            panels[key].plot(at, np.nanmean(blocks[known], 1), lw=1.2, label=title)
        history = training.validation.history
        for key in VALIDATION:
            epochs = len(values) / len(history) * np.arange(1, len(history) + 1)
            panels[key].plot(epochs, [measured[key] for measured in history], "o-", ms=4, lw=1.2)
    for key, axes in panels.items():
        axes.set_title({**PANELS, **VALIDATION}[key], fontsize=10)
        axes.set_xlabel("iteration", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if key in LOGARITHMIC:
            axes.set_yscale("log")
        elif key in VALIDATION:
            axes.set_ylim(-0.03, 1.03)
    figure.legend(*panels["classification"].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def main(
    methods: str | tuple[str, ...] = "plain,isnet_unblended,isnet_e1,isnet_interval4",
    seed: int = 0,
    out: str = "isnet_curves_output",
    quick: bool = False,
) -> None:
    """Train each method, and draw what its training was like.

    Args:
        methods: names of the catalogue, separated by commas.
        seed: of the training.
        out: folder of the figure and of the trained networks.
        quick: a smoke test on a few images, whose numbers mean nothing.
    """
    torch.set_num_threads(1)
    names = named(methods, biased_mnist.TESTBED.methods)
    budget = biased_mnist.QUICK if quick else biased_mnist.Budget()
    folder = Path(out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names:
        print(f"{name}, seed {seed}", flush=True)
        curves = Curves()
        found[name] = curves, biased_mnist.train(METHODS[name].steps, seed, 1.0, 1.0, budget, curves)
        torch.save(found[name][1].judge.network.state_dict(), folder / f"{name}.pt")
    draw(found).savefig(folder / "isnet_curves.png", dpi=100)
    print(folder / "isnet_curves.png")


if __name__ == "__main__":
    fire.Fire(main)
