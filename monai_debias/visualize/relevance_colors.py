# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How relevance looks: its colours, which value has the strongest one, and a line that is coloured by it."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from numpy.typing import NDArray

__all__ = ["RELEVANCE_COLORS", "relevance_line", "symmetric_norm"]

# Bright ends, since the strongest relevance must be visible on the black of an image; grey, the colour of weak
# relevance, is readable as a line on white, too. Blue and vermilion can be told apart with any kind of colour vision.
RELEVANCE_COLORS = LinearSegmentedColormap.from_list("relevance", ["#1aa7ff", "#808080", "#ff4a1c"])


def symmetric_norm(values: NDArray, percentile: float, name: str) -> Normalize:
    """Return the scale of the colours, which is symmetric around zero.

    Args:
        values: relevance of any shape.
        percentile: of the non-zero absolute values, which gets the strongest colour.
        name: of the map, for the error.

    Raises:
        ValueError: if all values are 0.
    """
    strength = np.abs(values[values != 0])
    if not strength.size:
        raise ValueError(f"{name} is 0 everywhere: there is nothing to draw; leave the row out.")
    limit = float(np.percentile(strength, percentile))
    return Normalize(-limit, limit)


def relevance_line(x: NDArray, y: NDArray, relevance: NDArray, norm: Normalize) -> LineCollection:
    """Return a line that has the colour of the relevance, and is thicker the stronger it is.

    Args:
        x: places of the samples, (samples,).
        y: their values, (samples,).
        relevance: of the samples, (samples,).
        norm: from :func:`symmetric_norm`.
    """
    points = np.stack([x, y], 1)
    segments = np.stack([points[:-1], points[1:]], 1)
    of_segment = (relevance[:-1] + relevance[1:]) / 2
    order = np.abs(of_segment).argsort()  # the strongest is drawn last, on top
    widths = 0.6 + 2.0 * np.minimum(np.abs(of_segment) / norm.vmax, 1)
    return LineCollection(
        segments[order], array=of_segment[order], cmap=RELEVANCE_COLORS, norm=norm, linewidths=widths[order]
    )
