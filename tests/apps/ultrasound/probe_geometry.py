# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the beams of a probe go on a screen: sectors of many shapes, with depth and angle of each pixel."""

from __future__ import annotations

import numpy as np

SHAPES = ("phased", "phased_flat", "curved", "linear", "trapezoid", "trapezoid_arc", "steered", "cropped", "apex_down")


def field_of_view(
    rng: np.random.Generator, shape: str, rows: int, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sector (rows, columns) bool, depth from 0 at the probe to 1, and place between the two sides from -1 to 1."""
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    top = rows * rng.uniform(0.03, 0.14)
    bottom = rows * rng.uniform(0.78, 0.93)
    centre = columns * rng.uniform(0.42, 0.58)
    if shape == "apex_down":
        sector, depth, lateral = field_of_view(rng, "phased", rows, columns)
        return sector[::-1], depth[::-1], lateral[::-1]
    if shape in ("linear", "steered"):
        half = columns * rng.uniform(0.2, 0.36)
        slope = rng.uniform(0.15, 0.35) * rng.choice([-1, 1]) if shape == "steered" else 0.0
        bottom = rows * rng.uniform(0.5, 0.93)
        lateral = (x - centre - slope * (y - (top + bottom) / 2)) / half
        depth = (y - top) / (bottom - top)
    elif shape in ("trapezoid", "trapezoid_arc"):
        half, tangent = columns * rng.uniform(0.12, 0.2), np.tan(np.radians(rng.uniform(10, 25)))
        tangent = min(tangent, (0.49 * columns - half) / (bottom - top))
        apex = top - half / tangent
        angle = (x - centre) / (y - apex).clip(1e-3)
        lateral = angle / tangent
        if shape == "trapezoid":
            depth = (y - top) / (bottom - top)
        else:
            depth = np.where(y < top, -1, (np.hypot(x - centre, y - apex) - (top - apex)) / (bottom - top))
    else:
        half = np.radians(rng.uniform(30, 50) if shape != "curved" else rng.uniform(24, 36))
        tilt = np.radians(rng.uniform(-6, 6)) if rng.random() < 0.4 else 0.0
        inner = rng.uniform(0, 0.05) if shape in ("phased", "cropped") else 0.0
        if shape == "curved":
            inner = rng.uniform(0.25, 0.55)
        if shape == "phased_flat":
            inner = rng.uniform(0.03, 0.1)
        reach = columns * (rng.uniform(0.38, 0.48) if shape != "cropped" else rng.uniform(0.5, 0.62))
        radius = min((bottom - top) / (1 - inner * np.cos(half)), reach / np.sin(half + abs(tilt)))
        apex = top - inner * radius * np.cos(half if shape == "curved" else 0)
        angle = np.arctan2(x - centre, y - apex) - tilt
        distance = np.hypot(x - centre, y - apex)
        lateral = angle / half
        depth = (distance / radius - inner) / (1 - inner)
        if shape == "phased_flat":
            depth = np.where(y < top, -1, depth)
        if shape == "cropped":
            margin = columns * rng.uniform(0.04, 0.12)
            depth = np.where((x < margin) | (x > columns - margin), -1, depth)
            if rng.random() < 0.5:
                depth = np.where(y > apex + radius * rng.uniform(0.88, 0.97), -1, depth)
    sector = (np.abs(lateral) <= 1) & (depth >= 0) & (depth <= 1)
    return sector, depth.astype(np.float32), lateral.astype(np.float32)
