# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Images side by side, with the outlines of their masks; and the images of the gallery."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from monai_debias.apps.ultrasound import LoadUltrasound
from monai_debias.data import load_datalist
from monai_debias.demo import build_echo_cohort

Panel = tuple[Any, Any]  # an image (1, rows, columns) and its mask or None


@cache
def clips() -> tuple[dict[str, Any], ...]:
    """A clip of each view of one demo patient: image (1, rows, columns, frames) in [0, 1], mask, overlay."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = build_echo_cohort(Path(temporary, "cohort"), patients=(1, 1, 1), frames=12, progress=False)
        return tuple(
            {
                "image": LoadUltrasound()(item["image"]).as_tensor() / 255,
                "mask": torch.from_numpy(np.asarray(Image.open(folder / item["sector"])) > 0)[None].float(),
                "overlay": item["overlay"],
            }
            for item in load_datalist(folder, "training")
        )


def stills() -> list[dict[str, torch.Tensor]]:
    """The first frames of these clips."""
    return [{"image": clip["image"][..., 0], "mask": clip["mask"]} for clip in clips()]


def side_by_side(panels: Mapping[str, Panel] | Sequence[tuple[str, Panel]], n_columns: int = 0) -> Figure:
    """Draw images under titles, the masks outlined, in rows of as many columns."""
    entries = list(panels.items()) if isinstance(panels, Mapping) else list(panels)
    n_columns = n_columns or len(entries)
    n_rows = -(-len(entries) // n_columns)
    figure = Figure(figsize=(2.4 * n_columns, 2.1 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False).flat
    for axes, (title, (image, mask)) in zip(grid, entries, strict=True):
        axes.imshow(np.asarray(image)[0], cmap="gray", vmin=0, vmax=1)
        if mask is not None and np.asarray(mask).any():
            axes.contour(np.asarray(mask)[0], levels=[0.5], colors=["tab:orange"], linewidths=0.9)
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()
    return figure
