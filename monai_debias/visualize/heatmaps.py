# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a classifier looks: relevance over images, slices of volumes and signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from monai_debias.constraints import ARRAY, NONE, STRING, MappingOf, Number, SequenceOf
from monai_debias.metrics.relevance_share import background_relevance
from monai_debias.parameters import expects
from monai_debias.visualize.relevance_colors import RELEVANCE_COLORS, relevance_line, symmetric_norm

__all__ = ["heatmap_overlay"]

_OUTLINE = "#e8ff3a"
_PANEL = {1: (7.0, 1.2), 2: (2.8, 2.8), 3: (2.2, 2.2)}  # inches, by the number of spatial dimensions


@expects(
    image=ARRAY,
    relevance=ARRAY | MappingOf(ARRAY, key=STRING, least=1),
    mask=NONE | ARRAY,
    titles=NONE | SequenceOf(STRING),
    percentile=Number("(0, 100]"),
    smoothing=Number("[0, 1]"),
)
def heatmap_overlay(
    image: NdarrayOrTensor,
    relevance: NdarrayOrTensor | Mapping[str, NdarrayOrTensor],
    mask: NdarrayOrTensor | None = None,
    titles: Sequence[str] | None = None,
    percentile: float = 99.0,
    smoothing: float = 0.0,
) -> Figure:
    """Draw relevance over the images that it explains: a row for each image, a column for each model and map.

    Positive relevance is red, negative blue; the colours are symmetric around zero. Each map has its own limit, the
    given percentile of its non-zero absolute relevance, as models differ in scale; stronger relevance has the colour of
    the limit. The number below a map is its :func:`~monai_debias.metrics.background_relevance`.

    - images (B, C, H, W): the image in grey; on it the relevance, summed over channels, the more opaque the stronger;
      the outline of the mask. The first column is the image without relevance.
    - volumes (B, C, X, Y, Z): the same for the three slices through the strongest relevance, which crosshairs mark.
    - signals (B, C, L): a trace for each channel, coloured by the relevance of that channel, and thicker the stronger
      it is; the background is shaded.

    Arrays are shown as they are stored: the first spatial dimension of an image or slice runs downwards.

    Args:
        image: input of the model, shape (B, C, spatial...) with 1 to 3 spatial dimensions, any value range.
        relevance: heatmaps of shape (B, maps, C, spatial...) or (B, C, spatial...), as the relevance package computes
            them; or ``{name of model: heatmaps}`` for a comparison on the same images.
        mask: region of interest, shape (B, 1, spatial...), 1 = region of interest; without it neither outline nor
            background are shown.
        titles: a text for each image, such as its true and predicted class.
        percentile: percentile of a map's absolute relevance that gets the strongest colour, in (0, 100].
        smoothing: standard deviation of a Gaussian that what is drawn is smoothed by, as a share of the longest side;
            the relevance of single pixels is speckle to the eye. The number below a map is not of the smoothed map.

    Returns:
        The figure; nothing is shown or saved.

    Raises:
        ValueError: when shapes or the number of titles do not fit, when a value is NaN or infinite, when a map is 0
            everywhere, when a mask has values other than 0 and 1 or no region of interest, or when the percentile is
            not in (0, 100].

    Example:
        >>> image, mask = torch.rand(2, 1, 32, 48), torch.zeros(2, 1, 32, 48)
        >>> mask[..., 8:24, 12:36] = 1
        >>> maps = {"baseline": torch.randn(2, 1, 1, 32, 48), "ISNet": mask * torch.randn(2, 1, 32, 48)}
        >>> figure = heatmap_overlay(image, maps, mask, titles=["A2C", "A4C"])
        >>> figure.axes[2].get_xlabel()
        '0.0 % in the background'
        >>> figure.savefig("/dev/null", format="png")
    """
    images = _finite(image, "image")
    n_dims = images.ndim - 2
    if n_dims not in _PANEL or not images.numel():
        raise ValueError(f"expected images (B, C, spatial...) with 1 to 3 spatial dimensions, got {_shape(images)}.")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"got {len(titles)} titles for {len(images)} images; give one for each image.")
    if mask is not None and tuple(mask.shape) != (len(images), 1, *images.shape[2:]):
        raise ValueError(
            f"expected a mask {(len(images), 1, *images.shape[2:])}, one for each image, got {_shape(mask)}."
        )
    maps = _by_column(relevance, images)
    draw = (_draw_traces, _draw_image, _draw_slices)[n_dims - 1]
    per_map, first = (3, 0) if n_dims == 3 else (1, int(n_dims == 2))  # axes of a map, axes before the maps

    n_columns = first + per_map * len(maps)
    width, height = _PANEL[n_dims]
    if n_dims == 1:
        width, height = (width if len(maps) == 1 else 0.65 * width), height + 0.5 * images.shape[1]
    elif n_dims == 2:
        height *= min(max(images.shape[2] / images.shape[3], 0.5), 2.0)
    figure = Figure(figsize=(width * n_columns + 1.2, (height + 0.35) * len(images) + 0.3), layout="constrained")
    grid = figure.subplots(len(images), n_columns, squeeze=False)
    regions = None if mask is None else convert_to_tensor(mask, track_meta=False).cpu().numpy()[:, 0] > 0
    for c, (name, heat) in enumerate(maps.items()):
        fractions = None if mask is None else background_relevance(heat, mask)
        for i, row in enumerate(grid[:, first + c * per_map :][:, :per_map]):
            region = None if regions is None else regions[i]
            values = _smooth(heat[i] if n_dims == 1 else heat[i].sum(0), n_dims, smoothing)
            norm = symmetric_norm(values, percentile, f"relevance of {name!r}, row {i},")
            draw(row, images[i].numpy(), values, region, norm)
            if fractions is not None:
                label = row[per_map // 2].get_xlabel()
                row[per_map // 2].set_xlabel(f"{label}\n{100 * fractions[i]:.1f} % in the background".strip())
        grid[0, first + c * per_map + per_map // 2].set_title(name, fontsize=10)
    for i, axes in enumerate(grid[:, 0]):
        if n_dims == 2:
            _grey(axes, images[i].mean(0).numpy(), None if regions is None else regions[i])
        if titles is not None:
            axes.set_ylabel(titles[i])
    if n_dims == 2:
        grid[0, 0].set_title("image", fontsize=10)
    _color_bar(figure, grid[0, -1], percentile)
    return figure


def _color_bar(figure: Figure, panel: Axes, percentile: float) -> None:
    """A bar beside a panel, as tall as it is."""
    beside = panel.inset_axes((1.03, 0, 0.035, 1))
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), RELEVANCE_COLORS), cax=beside, ticks=[-1, 0, 1])
    bar.set_label(f"relevance\n1 = {percentile:g}th percentile\nof a map", fontsize=8)


def _by_column(
    relevance: NdarrayOrTensor | Mapping[str, NdarrayOrTensor], images: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Heatmaps (B, C, spatial...) by the name of their column."""
    columns = {}
    for name, value in (relevance if isinstance(relevance, Mapping) else {"relevance": relevance}).items():
        heat = _finite(value, f"relevance of {name!r}")
        n_lead = heat.ndim - (images.ndim - 2)
        wrong = n_lead not in (2, 3) or len(heat) != len(images) or heat.shape[n_lead:] != images.shape[2:]
        if wrong or not heat.numel() or (images.ndim == 3 and heat.shape[-2] != images.shape[1]):
            raise ValueError(
                f"relevance of {name!r} has shape {_shape(heat)}, expected (B, maps, C, spatial...) or "
                f"(B, C, spatial...) for images of shape {_shape(images)}."
            )
        heat = heat if n_lead == 3 else heat.unsqueeze(1)
        for m in range(heat.shape[1]):
            columns[name if heat.shape[1] == 1 else f"{name}, map {m}"] = heat[:, m]
    return columns


def _finite(value: NdarrayOrTensor, name: str) -> torch.Tensor:
    tensor = convert_to_tensor(value, dtype=torch.float32, device="cpu", track_meta=False).detach()
    if not tensor.isfinite().all():
        raise ValueError(f"{name} has NaN or infinite values, which cannot be drawn.")
    return tensor


def _shape(value: NdarrayOrTensor) -> tuple[int, ...]:
    return tuple(value.shape)


def _smooth(values: torch.Tensor, n_dims: int, share: float) -> NDArray:
    sigma = share * max(values.shape[-n_dims:])
    return gaussian_filter(values.numpy(), sigma, axes=tuple(range(-n_dims, 0))) if sigma else values.numpy()


def _grey(axes: Axes, image: NDArray, region: NDArray | None, grey: Normalize | None = None) -> None:
    axes.imshow(image, cmap="gray", norm=grey)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if region is not None and region.any():
        rows, columns = np.arange(-1, region.shape[0] + 1), np.arange(-1, region.shape[1] + 1)
        # the border of zeros closes the outline of a region that touches the edge of the image
        outline = axes.contour(columns, rows, np.pad(region, 1), levels=[0.5], colors=[_OUTLINE], linewidths=1.0)
        outline.set(path_effects=[withStroke(linewidth=2.2, foreground="black")], zorder=3)
        axes.set(xlim=(-0.5, region.shape[1] - 0.5), ylim=(region.shape[0] - 0.5, -0.5))


def _draw_image(row: Sequence[Axes], image: NDArray, values: NDArray, region: NDArray | None, norm: Normalize) -> None:
    _overlay(row[0], image.mean(0), values, region, norm)


def _overlay(
    axes: Axes, image: NDArray, values: NDArray, region: NDArray | None, norm: Normalize, grey: Normalize | None = None
) -> None:
    _grey(axes, image, region, grey)
    axes.imshow(values, cmap=RELEVANCE_COLORS, norm=norm, alpha=np.minimum(np.abs(values) / norm.vmax, 1))


def _draw_slices(row: Sequence[Axes], image: NDArray, values: NDArray, region: NDArray | None, norm: Normalize) -> None:
    center = np.unravel_index(np.abs(values).argmax(), values.shape)
    volume = image.mean(0)
    grey = Normalize(volume.min(), volume.max())  # one for the three slices
    for dim, axes in enumerate(row):
        k = int(center[dim])
        at, across = (center[d] for d in range(3) if d != dim)
        cut = None if region is None else region.take(k, dim)
        _overlay(axes, volume.take(k, dim), values.take(k, dim), cut, norm, grey)
        axes.axhline(at, color="white", lw=0.6, ls=":")
        axes.axvline(across, color="white", lw=0.6, ls=":")
        axes.set_xlabel(f"{'XYZ'[dim]} = {k}")


def _draw_traces(row: Sequence[Axes], image: NDArray, values: NDArray, region: NDArray | None, norm: Normalize) -> None:
    axes, (n_channels, length) = row[0], image.shape
    if region is not None:
        edges = np.flatnonzero(np.diff(np.pad(~region, 1).astype(int))) - 0.5
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            axes.axvspan(start, end, color="0.9", lw=0)
    centered = image - np.median(image, 1, keepdims=True)
    at = -np.arange(n_channels) * (np.ptp(centered, 1).max() or 1.0)  # the first channel on top
    for y, channel in zip(centered + at[:, None], values, strict=True):
        axes.add_collection(relevance_line(np.arange(length), y, channel, norm))
    axes.autoscale_view()
    axes.set(xlim=(0, length - 1), xlabel="sample")
    axes.set_yticks(at, [str(c) for c in range(n_channels)])
    axes.spines[["top", "right"]].set_visible(False)
