# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Traces below a sector: an M-mode and an ECG, which are written on as the clip runs."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, gaussian_filter1d


def draw_mmode(rng, images, sector):
    """An M-mode strip under the sector, where there is room: written column by column behind a bright cursor."""
    rows, columns = sector.shape
    top = int(np.nonzero(sector.any(1))[0].max()) + int(rng.integers(2, 8))
    height = rows - top - 2
    if height < 12:
        return
    strip = gaussian_filter(rng.normal(size=(height, columns)), (1, 3)) * 300 + 90
    later = gaussian_filter(rng.normal(size=(height, columns)), (1, 3)) * 300 + 90
    start, speed = int(rng.integers(0, columns)), columns / 40
    for t, image in enumerate(images):
        pixels = np.asarray(image).copy()
        cursor = int(start + speed * t) % columns
        done = np.arange(columns) < cursor
        pixels[top : top + height] = np.where(done, later, strip).clip(0, 255).astype(np.uint8)[..., None]
        pixels[top : top + height, cursor : cursor + 2] = 255
        image.paste(Image.fromarray(pixels))


def draw_ecg(rng, images, sector, kind):
    rows, columns = sector.shape
    last = int(np.nonzero(sector.any(1))[0].max())
    height = int(rows * rng.uniform(0.05, 0.12))
    if kind == "ecg_overlap":
        base = last + int(rng.uniform(-0.8, 0.4) * height)
    else:
        base = max(last + int(rng.uniform(0.5, 1.2) * height), rows - int(1.4 * height))
    base = min(base, rows - height // 4 - 2)
    left, right = int(columns * rng.uniform(0, 0.25)), int(columns * rng.uniform(0.75, 1))
    beat, ink = rng.uniform(0.25, 0.6) * columns, [(60, 255, 60), (255, 255, 0), (230, 230, 230)][rng.integers(3)]
    s = np.arange(3 * columns)
    phase = (s % beat) / beat
    wave = np.exp(-(((phase - 0.3) / 0.012) ** 2)) - 0.25 * np.exp(-(((phase - 0.34) / 0.012) ** 2))
    wave += 0.2 * np.exp(-(((phase - 0.6) / 0.05) ** 2)) + 0.1 * np.exp(-(((phase - 0.15) / 0.03) ** 2))
    wave = gaussian_filter1d(wave, 1) + rng.normal(0, 0.01, len(s))
    speed, width = columns / rng.uniform(30, 90), int(rng.integers(1, 3))
    offset = int(rng.integers(0, columns))
    for t, image in enumerate(images):
        draw = ImageDraw.Draw(image)
        x = np.arange(left, right)
        if kind == "ecg_sweep":  # the trace stands still, a gap runs over it
            cursor = left + (offset + speed * t) % (right - left)
            part = [x[x < cursor - 2], x[x > cursor + columns // 25]]
            values = [wave[p + columns] if i == 0 else wave[p] for i, p in enumerate(part)]
        else:
            part, values = [x], [wave[(x + offset + int(speed * t)) % len(wave)]]
        for p, v in zip(part, values, strict=True):
            if len(p) > 1:
                draw.line(
                    [(int(a), int(base - height * 0.8 * b)) for a, b in zip(p, v, strict=True)], fill=ink, width=width
                )
