# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the transforms that change an image, a clip or a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure

from benchmarks.figures.gallery.panels import clips, side_by_side, stills
from monai_debias.apps.ultrasound import RandSelectFrame, SelectFrame
from monai_debias.transforms import BlendBackgroundsd, MixBatch, RandBackMix, backmix, replace_background


def rand_backmix() -> Figure:
    """An image, its donor, and the backgrounds that it can get."""
    one, donor = stills()[:2]
    panels = {"image": (one["image"], one["mask"]), "donor": (donor["image"], donor["mask"])}
    for background in ("donor", "black", "noise", "shuffle", "dim"):
        change = RandBackMix(background=background).set_random_state(seed=0)
        mixed = change(one["image"], one["mask"], donor["image"], donor["mask"])
        panels[f'background="{background}"'] = (mixed, one["mask"])
    return side_by_side(panels)


def backmix_steps() -> Figure:
    """The formula of BackMix, term by term."""
    one, donor = stills()[2:4]
    m, n = one["mask"], donor["mask"]
    return side_by_side(
        {
            "x and M": (one["image"], m),
            "x' and M'": (donor["image"], n),
            "M x": (m * one["image"], None),
            "(1 - M)(1 - M') x'": ((1 - m) * (1 - n) * donor["image"], None),
            "backmix(x, M, x', M')": (backmix(one["image"], m, donor["image"], n), m),
        }
    )


def replaced_background() -> Figure:
    """Another image, or a value, as background."""
    one, other = stills()[:2]
    return side_by_side(
        {
            "image": (one["image"], one["mask"]),
            "background = another image": (replace_background(one["image"], one["mask"], other["image"]), one["mask"]),
            "background = 0.4": (replace_background(one["image"], one["mask"], 0.4), one["mask"]),
        }
    )


def blended_backgrounds() -> Figure:
    """The images of a batch, and what a training sees of them."""
    batch = {key: torch.stack([still[key] for still in stills()]) for key in ("image", "mask")}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        seen = BlendBackgroundsd("image")(batch)
    rows = [
        (title, (image, mask))
        for name, images in (("image", batch["image"]), ("blended", seen["image"]))
        for title, image, mask in zip([f"{name} {i}" for i in range(4)], images, batch["mask"], strict=True)
    ]
    return side_by_side(rows, n_columns=4)


def mixed_batch() -> Figure:
    """Mixup of a batch: each row with another one, and the labels as well."""
    images, labels = torch.stack([still["image"] for still in stills()]), torch.arange(4)
    views = [clip["overlay"] for clip in clips()]
    mix = MixBatch.mixup(alpha=1.0, num_classes=4).set_random_state(seed=3)
    mixed, soft = mix(images, labels)

    def told(label: torch.Tensor) -> str:
        return ", ".join(f"{share:.2f} {view}" for view, share in zip(views, label.tolist(), strict=True) if share > 0)

    before = [(view, (image, None)) for view, image in zip(views, images, strict=True)]
    after = [(told(label), (image, None)) for label, image in zip(soft, mixed, strict=True)]
    return side_by_side([*before, *after], n_columns=4)


def loaded_clip() -> Figure:
    """Frames of a clip, as the file has them."""
    clip = clips()[0]["image"]
    frames = range(0, clip.shape[-1], 3)
    return side_by_side({f"frame {frame} of {clip.shape[-1]}": (clip[..., frame], None) for frame in frames})


def selected_frame() -> Figure:
    """The first and the middle frame."""
    clip = clips()[0]["image"]
    return side_by_side({f"frame={frame!r}": (SelectFrame(frame)(clip), None) for frame in (0, "middle")})


def drawn_frame() -> Figure:
    """Frames of three epochs."""
    clip, change = clips()[0]["image"], RandSelectFrame().set_random_state(seed=0)
    return side_by_side({f"epoch {epoch}": (change(clip), None) for epoch in (1, 2, 3)})


PICTURES: dict[str, Callable[[], Figure]] = {
    "RandBackMix": rand_backmix,
    "backmix": backmix_steps,
    "replace_background": replaced_background,
    "BlendBackgroundsd": blended_backgrounds,
    "MixBatch": mixed_batch,
    "LoadUltrasound": loaded_clip,
    "SelectFrame": selected_frame,
    "RandSelectFrame": drawn_frame,
}
