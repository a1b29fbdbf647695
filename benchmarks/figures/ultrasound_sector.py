# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/ultrasound_sector.png: the sector found in a real clip and on synthetic screens.

Run from the root of the repository, with the extra ``dev`` installed:
``python -m benchmarks.figures.ultrasound_sector``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from pydicom import examples

from monai_debias.apps.ultrasound import UltrasoundSectorMask
from tests.apps.ultrasound.sector_phantoms import phantom

ROOT = Path(__file__).parents[2]

FOUND, TRUE = "#ff5533", "#35d0ff"
SCREENS = (
    ("curved probe, clock", "curved", ("clock",), 5),
    ("linear probe, colour Doppler", "linear", ("doppler",), 9),
    ("phased probe, dark edges", "phased", ("dark_edges",), 44),
    ("cropped sector, moving ECG", "cropped", ("ecg_scroll",), 21),
    ("trapezoid, JPEG, counter", "trapezoid_arc", ("jpeg", "counter"), 15),
    ("steered probe, grey panel", "steered", ("panel",), 30),
)


def main() -> None:
    """Find the sectors and draw them."""
    find = UltrasoundSectorMask()
    figure, axes = plt.subplots(3, 3, figsize=(12, 9.6), constrained_layout=True)
    clip = np.ascontiguousarray(np.moveaxis(examples.ybr_color.pixel_array, (0, 3), (3, 0)))
    mask = find(clip)[0]
    frame = np.moveaxis(clip[..., 0], 0, -1)
    variation = clip.mean(axis=0, dtype=np.float32).std(axis=-1)
    axes[0, 0].imshow(frame)
    axes[0, 0].set_title("real clip: one of 30 frames", fontsize=11)
    axes[0, 1].imshow(np.log1p(variation), cmap="magma")
    axes[0, 1].set_title("what changes over time (log)", fontsize=11)
    axes[0, 2].imshow(np.clip(frame.astype(float) * 1.8, 0, 255).astype(np.uint8))
    axes[0, 2].contour(mask, [0.5], colors=FOUND, linewidths=1.8)
    axes[0, 2].set_title("the sector that was found (frame brightened)", fontsize=11)
    for axis, (title, shape, disturbances, seed) in zip(axes[1:].ravel(), SCREENS, strict=True):
        screen = phantom(seed, disturbances, shape=shape, size=(240, 320), frames=16)
        found = find(screen.clip)[0] > 0
        dice = 2 * (found & screen.sector).sum() / (found.sum() + screen.sector.sum())
        picture = screen.clip[..., 8]
        axis.imshow(np.moveaxis(picture, 0, -1) if len(picture) == 3 else picture[0], cmap="gray")
        axis.contour(screen.sector, [0.5], colors=TRUE, linewidths=1.8, linestyles="dashed")
        axis.contour(found, [0.5], colors=FOUND, linewidths=1.4)
        axis.set_title(f"synthetic: {title} (Dice {dice:.2f})", fontsize=11)
    for axis in axes.ravel():
        axis.set_axis_off()
    handles = [plt.Line2D([], [], color=FOUND, label="found"), plt.Line2D([], [], color=TRUE, ls="--", label="true")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=11)
    path = ROOT / "docs" / "images" / "ultrasound_sector.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
