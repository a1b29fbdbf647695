# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/clean_heatmaps.png: how a network decides by a mark that its heatmaps do not show.

    python -m benchmarks.figures.clean_heatmaps            # a minute or two for each of four networks

Trains the DenseNet of the testbed colour_corner by four methods, exchanges the backgrounds of validation images that
have other marks, and measures through which units the decision changes. The numbers are in
benchmarks/results/clean_heatmaps.csv, with a line for each network, which docs/heatmaps.md quotes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fire
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from monai.utils import set_determinism
from torch import nn

from benchmarks.csv_file import RESULTS, ROOT, append, made_by, read
from benchmarks.evidence.testbeds.colour_corner import N_CLASSES, NETWORKS, QUICK, Budget, load
from benchmarks.exchanged_pairs import LAYERS, PARTS, Measured, Pairs
from benchmarks.methods import METHODS
from benchmarks.parts import Parts, Step
from benchmarks.tables import markdown, rounded
from monai_debias.metrics import background_relevance
from monai_debias.relevance import LRP

TRAINED = {
    "plain": "plain",
    "isnet_paper": "ISNet as published",
    "isnet": "ISNet, blended backgrounds",
    "backmix": "BackMix",
}
TITLES = dict(zip(PARTS, ("relevance outside the mask", "relevance inside the mask", "biases"), strict=True))
TABLE = {  # title, and the unit: percent, a coefficient, or else logits
    "kept": ("decisions that survive the exchange", "%"),
    "follows_mark": ("decisions that follow the other corner", "%"),
    "background_relevance": ("share of the relevance outside the mask", "%"),
    "rank_correlation": ("rank correlation of an image's share and the change of its probability", "1"),
    "difference": ("f of the images", ""),
    "biases": ("of it by biases", ""),
    "inside_absolute": ("absolute relevance inside the mask, summed", ""),
    "outside_absolute": ("absolute relevance outside, summed", ""),
    "change": ("change of f by the exchange", ""),
    "change_outside": ("of it in the relevance outside", ""),
    "change_inside": ("of it in the relevance inside", ""),
    "change_biases": ("of it in the biases", ""),
    "kept_held": ("survive with every unit held on or off as for the image", "%"),
    "kept_switched": ("survive with those last units put back that the exchange switches", "%"),
    "kept_silenced": ("survive with those put back that it switches on", "%"),
    "kept_on": ("survive with those put back that are on in both", "%"),
    "kept_batch_statistics": ("survive where batch norm takes the batch's statistics", "%"),
}


def trained(steps: tuple[Step, ...], seed: int, budget: Budget) -> nn.Module:
    """The network after its last epoch, in evaluation mode."""
    set_determinism(seed)
    made = NETWORKS["densenet"]
    samples = load("training").items()[: budget.images]
    parts = Parts(made.make(), made.stages, N_CLASSES, samples, seed).changed(steps)
    parts.fit(budget.batch, budget.epochs, budget.learning_rate)
    return parts.network.eval()


def quoted(rows: list[dict[str, str]]) -> list[str]:
    """The tables of the page: a column for each network, and a column for each layer of the ISNet as published."""
    lines = []
    for column, (title, unit) in TABLE.items():
        factor, digits = (100 if unit == "%" else 1), (2 if unit == "1" else 1)
        values = [f"{rounded(factor * float(row[column]), digits):.{digits}f}" for row in rows]
        lines.append([f"{title}, %" if unit == "%" else title, *values])
    (published,) = [row for row in rows if row["method"] == "isnet_paper"]
    stages = [
        [f"{place} the mask", *(f"{100 * float(published[f'{layer}_{place}']):.1f}" for layer in LAYERS)]
        for place in ("outside", "inside")
    ]
    networks = ["", *(TRAINED[row["method"]] for row in rows)]
    return [markdown(networks, lines), markdown(["", *LAYERS.values()], stages)]


def draw_pair(panels: list[Axes], measured: Measured) -> None:
    """The first image whose decision follows the other mark: with its heatmap, exchanged, and with that heatmap."""
    pairs = measured.pairs
    n = int((measured.after.argmax(1) == pairs.mark).nonzero()[0])
    after, mask = int(measured.after[n].argmax()), pairs.masks[n]
    _, heatmap = LRP(measured.network)(pairs.exchanged[n : n + 1], target=after)
    share = float(background_relevance(heatmap[:, 0], mask[None]))
    titles = (
        f"{TRAINED['isnet_paper']} decides {int(measured.decided[n])}",
        f"its heatmap, {float(measured.share[n]):.0%} outside",
        f"with another corner it decides {after}",
        f"its heatmap, {share:.0%} outside",
    )
    for axes, image in zip(panels[::2], (pairs.images[n], pairs.exchanged[n]), strict=True):
        axes.imshow(image.permute(1, 2, 0))
    for axes, relevance in zip(panels[1::2], (measured.heatmaps[n].sum(0), heatmap[0, 0].sum(0)), strict=True):
        axes.imshow(relevance, cmap="seismic", vmin=-relevance.abs().max(), vmax=relevance.abs().max())
    for axes, title in zip(panels, titles, strict=True):
        axes.contour(mask[0], [0.5], colors="0.6", linewidths=1)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)


def draw_parts(axes: Axes, rows: dict[str, dict[str, Any]]) -> None:
    """For each network what the change of the difference of two logits is made of."""
    for n, (part, title) in enumerate(TITLES.items()):
        heights = [float(row[f"change_{part}"]) for row in rows.values()]
        axes.bar([k + 0.26 * (n - 1) for k in range(len(rows))], heights, 0.24, label=title)
    totals = [float(row["change"]) for row in rows.values()]
    axes.hlines(totals, *[[k + d for k in range(len(rows))] for d in (-0.4, 0.4)], "black", label="their sum")
    axes.axhline(0, color="0.5", lw=0.8)
    axes.set_xticks(range(len(rows)), [TRAINED[name].replace(" ", "\n") for name in rows], fontsize=8)
    axes.set_title("What changes in the logits when\nthe backgrounds are exchanged", fontsize=11)
    axes.set_ylabel("change of the difference of two logits")


def draw_stages(axes: Axes, row: dict[str, Any]) -> None:
    """Where in the ISNet as published the own background has to be put back for the decision to come back."""
    for place, color in (("outside", "tab:blue"), ("inside", "tab:orange")):
        shares = [100 * float(row[f"{layer}_{place}"]) for layer in LAYERS]
        axes.plot(range(len(LAYERS)), shares, "o-", color=color, label=f"{place} the mask's positions")
    axes.axhline(100 * float(row["kept"]), color="0.5", lw=0.8, ls="--", label="none put back")
    axes.set_xticks(range(len(LAYERS)), [title.replace(", ", "\n") for title in LAYERS.values()], fontsize=8)
    axes.set_ylim(-3, 103)
    axes.set_title("ISNet as published: outputs of a layer\nput back to those of the own background", fontsize=11)
    axes.set_ylabel("decisions that come back, %")


def draw_effects(axes: Axes, found: dict[str, Measured]) -> None:
    """Each image: what its heatmap says about the background, and what the background does."""
    for name, measured in found.items():
        axes.plot(100 * measured.share, measured.effect, "o", ms=4, alpha=0.4, label=TRAINED[name])
    axes.set_xlabel("relevance outside the mask, %")
    axes.set_ylabel("change of the probability by the exchange")
    axes.set_title("Each dot an image: what its heatmap says,\nand what its background does", fontsize=11)


def draw(found: dict[str, Measured], rows: dict[str, dict[str, Any]]) -> Figure:
    """A pair of images of the ISNet as published above, and the numbers of the networks below."""
    figure = Figure(figsize=(13, 7.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2.3, 5))
    draw_pair(list(above.subplots(1, 4)), found["isnet_paper"])
    panels = below.subplots(1, 3)
    draw_parts(panels[0], rows)
    draw_stages(panels[1], rows["isnet_paper"])
    draw_effects(panels[2], found)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure


def main(seed: int = 0, out: str = "", quick: bool = False) -> None:
    """Train the networks, measure them and draw.

    Args:
        seed: of the trainings.
        out: folder of picture and numbers; by default those of the documentation.
        quick: a smoke test on a few images, whose numbers mean nothing.
    """
    torch.set_num_threads(1)
    pairs = Pairs(load("validation"))
    folder, pictures = (Path(out), Path(out)) if out else (RESULTS, ROOT / "docs" / "images")
    folder.mkdir(parents=True, exist_ok=True)
    file, picture = folder / "clean_heatmaps.csv", pictures / "clean_heatmaps.png"
    found, rows = {}, {}
    for name, title in TRAINED.items():
        print(title, flush=True)
        found[name] = Measured(trained(METHODS[name].steps, seed, QUICK if quick else Budget()), pairs)
        rows[name] = {**made_by(), "method": name, "seed": seed, **found[name].row()}
        append(file, rows[name], key=("method", "seed"))
    draw(found, rows).savefig(picture, dpi=100)
    print(*quoted(read(file)), picture, sep="\n")


if __name__ == "__main__":
    fire.Fire(main)
