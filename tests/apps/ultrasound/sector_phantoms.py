# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic ultrasound screens with a known sector: many probes, and what else moves or shines on the screen."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from tests.apps.ultrasound.probe_geometry import SHAPES, field_of_view
from tests.apps.ultrasound.screen_marks import draw_clock, draw_counter, draw_flash, draw_inside, draw_overlay
from tests.apps.ultrasound.screen_strips import draw_ecg, draw_mmode
from tests.apps.ultrasound.speckle import add_doppler, real_tissue_clip, tissue_clip

DRAWN = {
    "clock": draw_clock,
    "counter": draw_counter,
    "flash": draw_flash,
    "mmode": draw_mmode,
    "overlay_inside": draw_inside,
    **{kind: partial(draw_ecg, kind=kind) for kind in ("ecg_sweep", "ecg_scroll", "ecg_overlap")},
}
DISTURBANCES = (
    "none",
    "ecg_sweep",
    "ecg_scroll",
    "ecg_overlap",
    "clock",
    "counter",
    "flash",
    "mmode",
    "doppler",
    "jpeg",
    "noise",
    "static_probe",
    "frozen_tissue",
    "heart_only",
    "short",
    "dark_edges",
    "overlay_inside",
    "panel",
)


@dataclass
class Phantom:
    """A clip (C, rows, columns, frames) uint8, its true sector (rows, columns) bool and how it was drawn."""

    clip: np.ndarray
    sector: np.ndarray
    shape: str
    disturbances: tuple[str, ...]


def phantom(
    seed: int,
    disturbances: tuple[str, ...] = (),
    shape: str | None = None,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    overlay: bool = True,
    tissue: np.ndarray | None = None,
) -> Phantom:
    """Draw one screen; everything that is not given is drawn from the seed."""
    rng = np.random.default_rng(seed)
    drawn_shape = str(rng.choice(SHAPES))
    shape = shape or drawn_shape
    sizes = [(240, 320), (240, 320), (300, 400), (224, 224), (180, 240), (360, 480)]
    drawn_size = sizes[rng.integers(len(sizes))]
    rows, columns = size or drawn_size
    drawn_frames = int(rng.integers(8, 25))
    frames = frames or drawn_frames
    if "short" in disturbances:
        frames = int(rng.integers(2, 4))
    sector, depth, lateral = field_of_view(rng, shape, rows, columns)
    if tissue is None:
        clip = tissue_clip(rng, sector, depth, lateral, frames, disturbances)
    else:
        clip = real_tissue_clip(rng, tissue, depth, lateral, frames, disturbances)
    colour = "doppler" in disturbances or rng.random() < 0.5
    background = int(rng.integers(8, 40)) if "panel" in disturbances else 0
    screen = np.repeat(np.where(sector[..., None], clip, 0)[None], 3, axis=0)
    if background:
        screen = np.where(_panel(rng, sector)[None, ..., None], np.float32(background), screen)
    if "doppler" in disturbances:
        add_doppler(rng, screen, sector, depth, lateral)
    images = [_picture(np.moveaxis(screen[..., t], 0, -1)) for t in range(frames)]
    if overlay:
        draw_overlay(rng, images, sector, colour)
    for name, draw in DRAWN.items():
        if name in disturbances:
            draw(rng, images, sector)
    if not colour:
        images = [image.convert("L") for image in images]
    if "noise" in disturbances:
        sigma = rng.uniform(0.5, 3)
        images = [_picture(image + rng.normal(0, sigma, np.shape(image))) for image in images]
    if "jpeg" in disturbances:
        quality = int(rng.integers(50, 93))
        images = [_jpeg(image, quality) for image in images]
    stack = np.stack([np.asarray(image) for image in images], axis=-1)
    stack = stack[None] if stack.ndim == 3 else np.moveaxis(stack, 2, 0)
    return Phantom(stack, sector, shape, tuple(disturbances))


def _panel(rng: np.random.Generator, sector: np.ndarray) -> np.ndarray:
    """The grey panel around the sector, or around its bounding box."""
    ys, xs = np.nonzero(sector)
    window = np.zeros_like(sector)
    gap = int(rng.integers(0, 12))
    window[max(0, ys.min() - gap) : ys.max() + gap + 1, max(0, xs.min() - gap) : xs.max() + gap + 1] = True
    return ~window if rng.random() < 0.7 else ~sector


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert(image.mode)
