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

__all__ = ["before_and_after"]

_LARGEST = 192  # pixels of a side


def before_and_after(before: torch.Tensor, after: torch.Tensor) -> tuple[str, str]:
    """Two images as PNGs in ``data:`` addresses, in one grey scale: slices where they differ most, or traces.

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
    low, high = (float(q) for q in np.quantile(first, [0.001, 0.999]))
    return _grey(first, low, high), _grey(second, low, high)


def _grey(image: NDArray, low: float, high: float) -> str:
    step = math.ceil(max(image.shape[1:]) / _LARGEST)
    image = image[:, ::step, ::step]
    unit = np.clip((image - low) / (high - low if high > low else 1.0), 0, 1)
    pixels = np.moveaxis(unit, 0, -1) if len(unit) == 3 else np.repeat(unit.mean(0)[..., None], 3, -1)
    imsave(file := io.BytesIO(), np.ascontiguousarray(pixels), format="png")
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
