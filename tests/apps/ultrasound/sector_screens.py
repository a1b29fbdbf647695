# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic screens that a single fan does not explain, and what the tests of sectors compare them by."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from tests.apps.ultrasound.sector_phantoms import Phantom, phantom

SEVERAL = ("biplane", "quad", "thumbnail")
BESIDE = ("scrolling_spectrum", "sweeping_spectrum", "scrolling_mmode")
GAPS = ("dark_near", "depth_gap", "shadow")
KINDS = (*SEVERAL, *BESIDE, *GAPS, "grey_interface")


def screen(kind: str, seed: int, frames: int = 10, shape: str | None = None) -> Phantom:
    """Draw one screen of 240 rows or more; ``sector`` is the union of what is 2-D tissue."""
    rng = np.random.default_rng(seed)
    shapes = ("phased", "curved", "linear", "trapezoid", "steered", "phased_flat")
    shape = shape or str(rng.choice(shapes))
    if kind in SEVERAL:
        panels = {"biplane": 2, "quad": 4, "thumbnail": 2}[kind]
        parts = [
            phantom(seed * 10 + k, shape=shape, size=(180, 240), frames=frames, overlay=k == 0) for k in range(panels)
        ]
        placed = {
            "biplane": [(20, 0, 1), (20, 245, 1)],
            "quad": [(0, 0, 1), (0, 245, 1), (185, 0, 1), (185, 245, 1)],
            "thumbnail": [(30, 0, 1), (5, 250, 3)],
        }[kind]
        size = {"biplane": (220, 485), "quad": (370, 485), "thumbnail": (220, 340)}[kind]
        return _compose(parts, placed, size, shape, kind)
    if kind in BESIDE:
        part = phantom(seed * 10, shape=shape, size=(150, 200), frames=frames, overlay=False)
        made = _compose([part], [(0, int(rng.integers(0, 120)), 1)], (270, 320), shape, kind)
        made.clip[:, 160:262, 10:310] = _strip(rng, kind, 102, 300, frames)
        return made
    part = phantom(seed, shape=shape, size=(240, 320), frames=frames, overlay=kind != "grey_interface")
    if kind == "grey_interface":
        return _on_grey_interface(rng, part)
    return _with_gap(rng, part, kind)


def _compose(parts, placed, size, shape, kind):
    frames = parts[0].clip.shape[-1]
    clip, sector = np.zeros((1, *size, frames), np.uint8), np.zeros(size, bool)
    for part, (row, column, step) in zip(parts, placed, strict=True):
        grey = part.clip.mean(axis=0, keepdims=True).astype(np.uint8)[:, ::step, ::step]
        area = slice(row, row + grey.shape[1]), slice(column, column + grey.shape[2])
        clip[(slice(None), *area)] = grey
        sector[area] = part.sector[::step, ::step]
    return Phantom(clip, sector, shape, (kind,))


def _strip(rng, kind, rows, columns, frames):
    """A Doppler spectrum or an M-mode strip (rows, columns, frames)."""
    length = columns + 12 * frames
    t = np.arange(length)
    noise = gaussian_filter(rng.normal(size=(rows, length)), (0.8, 0.6))
    noise = 40 * noise / noise.std()
    row = np.arange(rows)[:, None]
    if kind == "scrolling_mmode":
        depth = row + 6 * np.sin(2 * np.pi * t / rng.uniform(40, 90))
        level = 90 + 60 * np.sin(depth / rng.uniform(3, 7)) * np.exp(-(((depth - 50) / 40) ** 2))
    else:
        envelope = (0.15 + 0.75 * np.abs(np.sin(np.pi * t / rng.uniform(40, 90))) ** 3) * rows * 0.8
        level = np.where(row > rows * 0.95 - envelope, 120.0, 8.0)
    image = (level + noise).clip(0, 255).astype(np.uint8)
    step = int(rng.integers(3, 12))
    if kind == "sweeping_spectrum":
        strip = np.repeat(image[:, :columns, None], frames, axis=-1)
        for k in range(frames):
            cursor = (20 + step * k) % columns
            strip[:, :cursor, k] = image[:, columns : columns + cursor][:, :cursor]
            strip[:, cursor : cursor + 3, k] = 0
        return strip
    return np.stack([image[:, step * k : step * k + columns] for k in range(frames)], axis=-1)


def _with_gap(rng, part, kind):
    """Black out a part of the tissue: the first depths, a band of depths, or a shadow along the beams."""
    rows, columns = np.nonzero(part.sector)
    row, column = np.mgrid[: part.sector.shape[0], : part.sector.shape[1]]
    if kind == "dark_near":
        gap = row < rows.min() + rng.uniform(0.15, 0.35) * np.ptp(rows)
    elif kind == "depth_gap":
        first = rows.min() + rng.uniform(0.25, 0.55) * np.ptp(rows)
        gap = (row > first) & (row < first + rng.uniform(0.12, 0.25) * np.ptp(rows))
    else:
        middle = columns.min() + rng.uniform(0.3, 0.7) * np.ptp(columns)
        half = rng.uniform(0.04, 0.1) * np.ptp(columns)
        apex = columns.mean()
        share = (row - rows.min()) / np.ptp(rows)
        along = part.shape in ("phased", "phased_flat", "curved", "trapezoid")
        gap = np.abs(column - (apex + (middle - apex) * (share if along else 1))) < half * (share + 0.1 if along else 1)
        gap &= share > rng.uniform(0, 0.3)
    clip = part.clip.copy()
    clip[:, part.sector & gap] = 0
    return Phantom(clip, part.sector, part.shape, (kind,))


def _on_grey_interface(rng, part):
    """Buttons, gradients and letters on grey around the window of the image."""
    high, wide = part.sector.shape
    picture = Image.new("L", (wide + 120, high + 60), int(rng.integers(50, 110)))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=11)
    for k, top in enumerate(range(8, high + 40, 24)):
        draw.rectangle([wide + 16, top, wide + 110, top + 18], fill=int(rng.integers(90, 160)), outline=40)
        draw.text((wide + 22, top + 2), f"Preset {k}", fill=230, font=font)
    for left in range(8, wide, 60):
        draw.rectangle([left, high + 20, left + 50, high + 52], fill=int(rng.integers(90, 160)), outline=30)
        draw.text((left + 6, high + 28), "Gain", fill=235, font=font)
    ground = np.asarray(picture).astype(np.float32)
    ground += np.linspace(0, 25, wide + 120)[None]
    clip = np.repeat(ground[None, ..., None], part.clip.shape[-1], axis=-1).clip(0, 255).astype(np.uint8)
    sector = np.zeros(clip.shape[1:3], bool)
    clip[:, 10 : 10 + high, 5 : 5 + wide] = part.clip.mean(axis=0, keepdims=True).astype(np.uint8)
    sector[10 : 10 + high, 5 : 5 + wide] = part.sector
    return Phantom(clip, sector, part.shape, ("grey_interface",))


# Development used seeds below 50,000; the thresholds below are promises, not what these seeds happen to give.
FIRST_SEED = 60_000


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def a_clip(**changes: object) -> np.ndarray:
    return phantom(**{"seed": 3, "shape": "phased", "size": (180, 240), "frames": 8, **changes}).clip
