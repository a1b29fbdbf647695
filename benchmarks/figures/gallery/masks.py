# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the transforms that find, load, keep, fill or weigh masks."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.figures.gallery.panels import clips, side_by_side, stills
from monai_debias.apps.ultrasound import UltrasoundReader, UltrasoundSectorMask
from monai_debias.transforms import (
    BackMixWeightd,
    FillMaskd,
    KeepMaskd,
    LoadMaskd,
    TryMaskd,
    backmix_weight,
)


def sector_mask() -> Figure:
    """The sector that is found in the clip of each view."""
    panels = []
    for clip in clips():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the black near field
            found = UltrasoundSectorMask()(clip["image"])
        panels.append((clip["overlay"], (clip["image"][..., 0], found)))
    return side_by_side(panels)


def loaded_mask() -> Figure:
    """A grey mask as a file, and as it is loaded."""
    still = stills()[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mask.png")
        grey = np.asarray(still["mask"][0] * np.linspace(90, 255, still["mask"].shape[-1]))
        Image.fromarray(grey.astype(np.uint8)).save(file)
        loaded = LoadMaskd(threshold=80, reader=UltrasoundReader())({"image": still["image"], "mask": str(file)})
    mask = torch.as_tensor(loaded["mask"]).float()
    return side_by_side(
        {
            "image": (still["image"], None),
            "file of a grey mask": (grey[None] / 255, None),
            "mask (threshold=80)": (mask, None),
            "on the image": (still["image"], mask),
        }
    )


def tried_mask() -> Figure:
    """A mask that fits, and one of another size."""
    still = stills()[1]
    change, panels = TryMaskd([LoadMaskd()]), {}
    for title, mask in (("a mask that fits", still["mask"]), ("a mask of another size", still["mask"][:, ::2])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sample = change({"image": still["image"], "mask": mask})
        said = "the sample has a mask" if "mask" in sample else "a warning; it has none"
        panels[f"{title}:\n{said}"] = (still["image"], sample.get("mask"))
    return side_by_side(panels)


def kept_masks() -> Figure:
    """Samples whose flag is True, False, False and True."""
    panels = []
    for still, flag in zip(stills(), (True, False, False, True), strict=True):
        sample = KeepMaskd("mask")({**still, "use_mask": flag})
        panels.append((f"use_mask={flag}", (sample["image"], sample.get("mask"))))
    return side_by_side(panels)


def filled_mask() -> Figure:
    """A sample with a mask and one without."""
    panels = []
    for still in (stills()[0], {"image": stills()[1]["image"]}):
        sample = FillMaskd()(still)
        panels += [
            ("image", (sample["image"], still.get("mask"))),
            (f"mask; has_mask={sample['has_mask']}", (sample["mask"], None)),
        ]
    return side_by_side(panels)


def weights() -> Figure:
    """What samples with and without a mask weigh, by the share of masks."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    shares = np.linspace(0.01, 1, 100)
    for strength in (1.0, 2.0):
        known = shares[strength * shares <= 1]
        for has_mask, style in ((True, "-"), (False, "--")):
            values = [backmix_weight(has_mask, float(share), strength) for share in known]
            label = f"λ = {strength:g}, {'with' if has_mask else 'without'} a mask"
            left.plot(known, values, style, color="tab:blue" if strength == 1 else "tab:orange", label=label)
    left.set(xlabel="share f of the samples that have a mask", ylabel="weight")
    left.legend(fontsize=7, loc="upper right")
    weigh = BackMixWeightd(mask_fraction=0.25, strength=2.0)
    found = [float(weigh(sample)["weight"]) for sample in [{"mask": 1}, {}, {}, {}]]
    right.bar(range(4), found, color=["tab:orange", *["lightgrey"] * 3])
    right.set_xticks(range(4), ["mask", "none", "none", "none"])
    right.set_title("four samples, f = 0.25, λ = 2", fontsize=8)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "UltrasoundSectorMask": sector_mask,
    "LoadMaskd": loaded_mask,
    "TryMaskd": tried_mask,
    "KeepMaskd": kept_masks,
    "FillMaskd": filled_mask,
    "BackMixWeightd": weights,
}
