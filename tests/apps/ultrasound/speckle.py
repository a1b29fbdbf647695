# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Speckle that moves with the heart, or a real clip, within the field of view of any probe; colour Doppler in it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates


def tissue_clip(rng, sector, depth, lateral, frames, disturbances):
    """A clip (rows, columns, frames) in [0, 255] of a heart with one to three chambers."""
    rows, columns = sector.shape
    scale = rows / 240
    reflectivity, lateral = _mean_echo(rng, depth, lateral, "dark_edges" in disturbances)
    correlation = rng.uniform(0, 0.9)
    motion = rng.uniform(1.5, 6) * scale
    if "static_probe" in disturbances:
        correlation, motion = rng.uniform(0.95, 0.985), 0.0
    if "frozen_tissue" in disturbances:
        correlation = 1.0
    if "heart_only" in disturbances:
        correlation, motion = 1.0, 1e-6
    gamma = rng.uniform(45, 65)
    chambers = [
        (rng.uniform(-0.5, 0.5), rng.uniform(0.25, 0.8), rng.uniform(0.1, 0.22), rng.uniform(0.1, 0.25))
        for _ in range(rng.integers(1, 4))
    ]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)

    def white():
        return np.stack(
            [
                gaussian_filter(rng.normal(size=(rows, columns)).astype(np.float32), (0.6 * scale, 1.2 * scale))
                for _ in range(2)
            ]
        )

    field = white()
    clip = np.empty((rows, columns, frames), np.float32)
    period = rng.uniform(8, 25)
    warp = gaussian_filter(rng.normal(size=(2, rows, columns)).astype(np.float32), (0, 25 * scale, 25 * scale))
    warp /= np.abs(warp).max() + 1e-6
    for t in range(frames):
        phase = np.sin(2 * np.pi * t / period)
        if t and correlation < 1:
            field = correlation * field + np.sqrt(1 - correlation**2) * white()
        amplitude = np.hypot(*field)
        level = reflectivity
        if motion:
            coordinates = [y + motion * phase * warp[0], x + motion * phase * warp[1]]
            amplitude = map_coordinates(amplitude, coordinates, order=1, mode="reflect")
            level = map_coordinates(level, coordinates, order=1, mode="nearest")
        for a, d, ra, rd in chambers:
            grown = 1 + 0.15 * phase * (motion > 0)
            hole = ((lateral - a) / (ra * grown)) ** 2 + ((depth - d) / (rd * grown)) ** 2
            level = level - 35 * np.clip(1.3 - hole, 0, 1) + 12 * np.exp(-(((hole - 1.6) / 0.4) ** 2))
        envelope = 20 * np.log10(amplitude / (field.std() * 1.4) + 1e-3) + level
        clip[..., t] = 255 * np.clip(1 + envelope / gamma, 0, 1)
    return clip


def _mean_echo(rng, depth, lateral, dark_edges):
    """What each place reflects on average, in dB; and ``lateral``, 0 where contact is lost on one side only."""
    reflectivity = gaussian_filter(rng.normal(size=depth.shape).astype(np.float32), 10 * len(depth) / 240)
    reflectivity = rng.uniform(-42, -10) + rng.uniform(5, 11) * reflectivity / reflectivity.std()
    reflectivity -= rng.uniform(4, 16) * depth
    edge = rng.uniform(0, 14)
    if dark_edges:
        edge = rng.uniform(20, 45)
        if rng.random() < 0.3:  # one side only: lost contact
            lateral = np.where(lateral * rng.choice([-1, 1]) > 0, lateral, 0)
    reflectivity -= edge * np.abs(lateral) ** rng.uniform(2, 5) * np.clip(depth * 4, 0.25, 1)
    near = np.exp(-((depth / 0.06) ** 2)) * rng.uniform(5, 20)
    return reflectivity + near, lateral


def real_tissue_clip(rng, tissue, depth, lateral, frames, disturbances):
    """A real clip (frames, rows, columns) of 480 x 640, bent into another probe's field of view."""
    angle = lateral.clip(-1.1, 1.1) * np.radians(42.3) * rng.choice([-1, 1])
    radius = 37 + depth.clip(-0.1, 1.1) * (382 - 37)
    coordinates = [18 + radius * np.cos(angle), 339.5 + radius * np.sin(angle)]
    step = int(rng.integers(1, 4))
    first = int(rng.integers(0, len(tissue)))
    gain, still = rng.uniform(0.7, 1.6), "static_probe" in disturbances
    chosen = [(first + (step * t if not still else t % 2)) % len(tissue) for t in range(frames)]
    return gain * np.stack([map_coordinates(tissue[k], coordinates, order=1) for k in chosen], axis=-1)


def add_doppler(rng, screen, sector, depth, lateral):
    """Colour a box of the screen (3, rows, columns, frames) by flow towards the probe and away from it."""
    low, high = sorted(rng.uniform(-0.8, 0.8, 2))
    d0, d1 = sorted(rng.uniform(0.15, 0.9, 2))
    high, d1 = max(high, low + 0.3), max(d1, d0 + 0.25)
    box = sector & (lateral > low) & (lateral < high) & (depth > d0) & (depth < d1)
    for t in range(screen.shape[-1]):
        flow = gaussian_filter(rng.normal(size=sector.shape), 5)
        flow /= flow.std()
        for channel, side in ((0, flow > 0.7), (2, flow < -0.7)):
            inside = box & side
            screen[channel, ..., t][inside] = 120 + 60 * np.abs(flow[inside])
            screen[(channel + 1) % 3, ..., t][inside] = 20
    edge = box & ~(np.roll(box, 1, 0) & np.roll(box, -1, 0) & np.roll(box, 1, 1) & np.roll(box, -1, 1))
    screen[:, edge] = 200
