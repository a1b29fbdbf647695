# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The figure of docs/lung_masks.md: masks of demo films and of a real film, and masks that are wrong by a known amount.

python -m benchmarks.figures.lung_masks
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.csv_file import ROOT
from benchmarks.evidence.cohorts import kept_cohort
from benchmarks.evidence.mask_quality import QUALITIES
from benchmarks.real_film import load_real_film, visible_lungs
from monai_debias.apps.radiography.lung_masks.finder import LungFinder
from monai_debias.data import load_datalist
from monai_debias.data.found_masks.mask_file import read_mask
from monai_debias.demo import build_cxr_cohort

FOUND, TRUE = "#ff5533", "#33c5ff"
WRONG = ("dice95", "dice90", "dice80", "dice60", "dilated2", "dilated5", "dilated10")


def main() -> None:
    """Draw docs/images/lung_masks.png."""
    finder, film = LungFinder(), load_real_film()
    figure = Figure(figsize=(14, 5.4), layout="constrained")
    panels = figure.subplots(2, 7)
    options: dict[str, Any] = {"bias": 1 / 3, "seed": 5, "patients": (1, 1, 1, 1), "size": 256, "workers": 1}
    folder = kept_cohort("cxr_lung_masks_figure", lambda path: build_cxr_cohort(path, **options))
    items = load_datalist(folder, "test_random") + load_datalist(folder, "test_external")[1:2]
    for axes, item in zip(panels[0], items, strict=False):
        image, true = finder.load(Path(item["image"])), read_mask(Path(item["mask"]))
        _draw(axes, image, finder.find(image).mask, true, f"demo cohort, {item['hospital']}")
    for axes, (title, changed) in zip(
        panels[0, 4:], {"real film": film, "inverted": 1 - film, "darker": film**3}.items(), strict=True
    ):
        small = changed[:, ::4, ::4]
        _draw(axes, small, finder.find(small).mask, visible_lungs(*small.shape[1:]), title)
    image, true = finder.load(Path(items[0]["image"])), read_mask(Path(items[0]["mask"]))
    for axes, kind in zip(panels[1], WRONG, strict=True):
        quality = QUALITIES[kind]
        _draw(axes, image, quality.change(true, np.random.default_rng(0)), true, quality.title)
    figure.savefig(ROOT / "docs" / "images" / "lung_masks.png", dpi=90)


def _draw(axes: Axes, film: torch.Tensor, mask: NDArray[np.bool_], true: NDArray[np.bool_], title: str) -> None:
    axes.imshow(film[0].numpy(), cmap="gray", vmin=0, vmax=1)
    axes.contour(true, [0.5], colors=TRUE, linewidths=0.8)
    axes.contour(mask, [0.5], colors=FOUND, linewidths=1.1)
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()


if __name__ == "__main__":
    main()
