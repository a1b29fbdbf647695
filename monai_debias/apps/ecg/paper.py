# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An ECG on its paper, with the relevance for a decision on the traces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter1d

from monai_debias.apps.ecg.reader import LEADS
from monai_debias.apps.ecg.signal import rate_of
from monai_debias.constraints import ARRAY, NONE, STRING, Number, SequenceOf
from monai_debias.parameters import expects
from monai_debias.visualize.relevance_colors import RELEVANCE_COLORS, relevance_line, symmetric_norm

__all__ = ["draw_ecg_heatmap"]

_ROW = 1.5  # mV between two leads
_LARGE, _SMALL = (0.2, 0.5), (0.04, 0.1)  # squares: s, mV
_SECOND, _MILLIVOLT = 1.3, 0.52  # inches: 0.2 s are as long as 0.5 mV
_WIDEST = 60.0  # inches
_SMOOTHING = 0.02  # s; the relevance of single samples is speckle to the eye
_PERCENTILE = 99.0


@expects(
    image=ARRAY,
    relevance=ARRAY,
    mask=NONE | ARRAY,
    titles=NONE | SequenceOf(STRING),
    sampling_rate=NONE | Number("(0, inf)"),
)
def draw_ecg_heatmap(
    image: NdarrayOrTensor,
    relevance: NdarrayOrTensor,
    mask: NdarrayOrTensor | None = None,
    titles: Sequence[str] | None = None,
    sampling_rate: float | None = None,
) -> Figure:
    """Draw all leads of an ECG on paper of 0.2 s by 0.5 mV, each coloured by its relevance.

    What speaks for the decision is red, what speaks against it blue, and the stronger the thicker. Relevance is
    smoothed over 20 ms for the eye. What the mask leaves out is grey. This is a ``draw`` of
    :class:`~monai_debias.handlers.HeatmapSaver`.

    Args:
        image: one ECG in mV, shape (1, leads, samples); a MetaTensor of ECGReader knows the rate and the leads' names.
        relevance: shape (1, 1, leads, samples) or (1, leads, samples).
        mask: where the heart is, shape (1, 1, samples) or (1, leads, samples); None to shade nothing.
        titles: a list of one title.
        sampling_rate: samples per second, if the meta of the image does not have it.

    Returns:
        The figure; nothing is shown or saved.

    Raises:
        ValueError: if shapes do not fit, the rate is unknown, a value is NaN, or the relevance is 0 everywhere.

    Example:
        >>> figure = draw_ecg_heatmap(torch.rand(1, 12, 1000), torch.randn(1, 1, 12, 1000), sampling_rate=100)
        >>> len(figure.axes[0].collections)
        12
    """
    leads, heat = _one(image, "image"), _one(relevance, "relevance")
    if heat.shape != leads.shape or not (np.isfinite(leads).all() and np.isfinite(heat).all()):
        raise ValueError(
            f"relevance of shape {tuple(relevance.shape)} does not belong to an ECG of shape {tuple(image.shape)}, or "
            "one of them has NaN; expected (1, leads, samples) of both, without NaN."
        )
    rate = rate_of(image, sampling_rate)
    seconds = leads.shape[1] / rate
    figure = Figure(
        figsize=(min(_SECOND * seconds, _WIDEST) + 1.5, _MILLIVOLT * (_ROW * len(leads) + 1.5) + 0.5),
        layout="constrained",
    )
    axes = figure.subplots()
    _draw_paper(axes, seconds, len(leads))
    if mask is not None:
        _shade(axes, _one(mask, "mask") > 0, rate)
    smooth = gaussian_filter1d(heat, _SMOOTHING * rate, axis=1)
    norm = symmetric_norm(smooth, _PERCENTILE, "the relevance")
    times, names = np.arange(leads.shape[1]) / rate, _names(image, len(leads))
    for row, (lead, values) in enumerate(zip(leads - np.median(leads, axis=1, keepdims=True), smooth, strict=True)):
        axes.add_collection(relevance_line(times, lead - row * _ROW, values, norm))
        axes.text(-0.01 * seconds, -row * _ROW, names[row], ha="right", va="center", fontsize=9)
    axes.set_title("; ".join(titles or ()), fontsize=11)
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), RELEVANCE_COLORS), ax=axes, ticks=[-1, 0, 1], aspect=40, pad=0.01
    )
    bar.set_label(f"relevance (1 = {_PERCENTILE:g}th percentile)", fontsize=8)
    return figure


def _one(values: NdarrayOrTensor, name: str) -> np.ndarray:
    """The only sample of a batch, (rows, samples)."""
    array = torch.as_tensor(values).as_subclass(torch.Tensor).numpy(force=True)
    if name == "relevance" and array.ndim == 4:
        array = array[:, 0] if array.shape[1] == 1 else array
    if array.ndim != 3 or len(array) != 1:
        raise ValueError(f"{name} has shape {tuple(values.shape)}, expected one sample, (1, leads, samples).")
    return np.asarray(array[0], dtype=float)


def _names(image: NdarrayOrTensor, n_leads: int) -> list[str]:
    told = str(image.meta.get(LEADS, "")).split(",") if isinstance(image, MetaTensor) else []
    return told if len(told) == n_leads else [f"lead {row + 1}" for row in range(n_leads)]


def _draw_paper(axes: Axes, seconds: float, n_leads: int) -> None:
    axes.set(xlim=(0, seconds), ylim=(-_ROW * (n_leads - 1) - 1.2, 1.6), xlabel="large squares: 0.2 s, 0.5 mV")
    for scale, large, small in zip((axes.xaxis, axes.yaxis), _LARGE, _SMALL, strict=True):
        scale.set_major_locator(MultipleLocator(large))
        scale.set_minor_locator(MultipleLocator(small))
    axes.grid(which="major", color="#f4b6b6", linewidth=0.5)
    axes.grid(which="minor", color="#fbe4e4", linewidth=0.3)
    axes.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
    axes.set_axisbelow(True)


def _shade(axes: Axes, region: np.ndarray, rate: float) -> None:
    """Shade what is outside, in the row of each lead if each has its own mask."""
    for row, inside in enumerate(region):
        low, high = axes.get_ylim() if len(region) == 1 else (-(row + 0.5) * _ROW, (0.5 - row) * _ROW)
        edges = np.flatnonzero(np.diff(np.pad(~inside, 1).astype(int))) / rate
        for begin, end in edges.reshape(-1, 2):
            axes.fill_between([begin, end], low, high, color="0.85", linewidth=0, zorder=0)
