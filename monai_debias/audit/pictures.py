# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of a finding as small PNGs inside the report."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_dilation

__all__ = ["before_and_after"]

_LARGEST = 192  # pixels of a side
_PART = 1 / 8  # of an image, around which there is a line
_VISIBLE = 0.02  # of the grey scale
_RED = (0.9, 0.15, 0.1)


def before_and_after(before: torch.Tensor, after: torch.Tensor) -> tuple[str, str]:
    """Two images as PNGs in ``data:`` addresses, in one grey scale: slices where they differ most, or traces.

    A change of a small part of an image, such as a patch, has a red line around it in both.

    Args:
        before: an image (C, spatial...), with 1 to 3 spatial dimensions.
        after: another of the same shape.

    Example:
        >>> before_and_after(torch.zeros(1, 4, 4), torch.ones(1, 4, 4))[0][:22]
        'data:image/png;base64,'
    """
    first, second = before.numpy(), after.numpy()
    if first.ndim == 2:
        low, high = min(first.min(), second.min()), max(first.max(), second.max())
        return _traces(first, low, high), _traces(second, low, high)
    if first.ndim == 4:
        k = int(np.abs(second - first).sum((0, 1, 2)).argmax())
        first, second = first[..., k], second[..., k]
    step = math.ceil(max(first.shape[1:]) / _LARGEST)
    low, high = (float(q) for q in np.quantile(first, [0.001, 0.999]))
    line = _around(np.abs(second - first).max(0) > _VISIBLE * (high - low))[::step, ::step]
    return _grey(first[:, ::step, ::step], low, high, line), _grey(second[:, ::step, ::step], low, high, line)


def _around(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A line around what has changed; none if that is much of the image."""
    if not 0 < changed.mean() < _PART:
        return np.zeros_like(changed)
    width = math.ceil(max(changed.shape) / 96)
    inside = binary_dilation(binary_closing(changed, iterations=2 * width), iterations=width)
    return binary_dilation(inside, iterations=width) & ~inside


def _grey(image: NDArray, low: float, high: float, line: NDArray[np.bool_]) -> str:
    unit = np.clip((image - low) / (high - low if high > low else 1.0), 0, 1)
    pixels = np.moveaxis(unit, 0, -1) if len(unit) == 3 else np.repeat(unit.mean(0)[..., None], 3, -1)
    imsave(file := io.BytesIO(), np.ascontiguousarray(np.where(line[..., None], _RED, pixels)), format="png")
    return _address(file)


def _traces(signal: NDArray, low: float, high: float) -> str:
    figure = Figure(figsize=(4, 0.4 + 0.3 * len(signal)), layout="constrained")
    axes = figure.subplots()
    axes.plot(signal.T - np.arange(len(signal)) * (high - low or 1.0), color="black", lw=0.5)
    axes.set_axis_off()
    figure.savefig(file := io.BytesIO(), format="png", dpi=96)
    return _address(file)


def _address(file: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
